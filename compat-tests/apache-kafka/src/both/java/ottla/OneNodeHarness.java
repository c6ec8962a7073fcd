package ottla;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import net.bytebuddy.ByteBuddy;
import net.bytebuddy.agent.ByteBuddyAgent;
import net.bytebuddy.asm.Advice;
import net.bytebuddy.dynamic.loading.ClassReloadingStrategy;
import net.bytebuddy.matcher.ElementMatchers;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Fits the functions through which Apache's older tests make topics and stop brokers to one node, as
 * {@link OneNodeCluster} does for the newer ones: topics have one copy, and a broker that a test has under several names
 * is stopped once.
 */
public final class OneNodeHarness {
    private OneNodeHarness() {
    }

    public static void install() throws ClassNotFoundException {
        ByteBuddyAgent.install();
        Class<?> functions = Class.forName("kafka.utils.TestUtils$");
        new ByteBuddy().redefine(functions)
            .visit(Advice.to(OneCopy.class).on(ElementMatchers.named("createTopicWithAdmin")))
            .visit(Advice.to(StopOnce.class).on(ElementMatchers.named("shutdownServers")))
            .make()
            .load(functions.getClassLoader(), ClassReloadingStrategy.fromInstalledAgent());
    }

    /** Is copied to the beginning of the function that makes a topic. */
    public static final class OneCopy {
        private OneCopy() {
        }

        @Advice.OnMethodEnter
        static void cut(@Advice.Argument(value = 5, readOnly = false) int copies,
                        @Advice.Argument(value = 6, readOnly = false) scala.collection.Map<Object, Seq<Object>> places) {
            copies = Math.min(1, copies);
            places = onFirstBroker(places);
        }
    }

    /** Is copied to the beginning of the function that stops brokers. */
    public static final class StopOnce {
        private StopOnce() {
        }

        @Advice.OnMethodEnter
        static void cut(@Advice.Argument(value = 0, readOnly = false) Seq<Object> brokers) {
            brokers = distinct(brokers);
        }
    }

    public static scala.collection.Map<Object, Seq<Object>> onFirstBroker(scala.collection.Map<Object, Seq<Object>> places) {
        Map<Object, Seq<Object>> cut = new HashMap<>();
        for (Object partition : CollectionConverters.asJava(places).keySet()) {
            cut.put(partition, CollectionConverters.asScala(List.<Object>of(0)));
        }
        return CollectionConverters.asScala(cut);
    }

    public static Seq<Object> distinct(Seq<Object> brokers) {
        List<Object> once = CollectionConverters.asJava(brokers).stream().distinct().toList();
        return CollectionConverters.asScala(once);
    }
}

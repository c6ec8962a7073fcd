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
 * Cuts down the topics of Apache's older tests, which all come from one function, to one copy: what
 * {@link OneNodeCluster} does for the newer ones. An assignment of copies to brokers becomes one to the first broker.
 */
public final class OneCopy {
    private static final int TOPIC_FUNCTION_COPIES = 5;

    private OneCopy() {
    }

    public static void install() throws ClassNotFoundException {
        ByteBuddyAgent.install();
        Class<?> topics = Class.forName("kafka.utils.TestUtils$");
        new ByteBuddy().redefine(topics)
            .visit(Advice.to(Cut.class).on(ElementMatchers.named("createTopicWithAdmin")))
            .make()
            .load(topics.getClassLoader(), ClassReloadingStrategy.fromInstalledAgent());
    }

    /** What comes before the function's own code; it is copied there. */
    public static final class Cut {
        private Cut() {
        }

        @Advice.OnMethodEnter
        static void cut(@Advice.Argument(value = TOPIC_FUNCTION_COPIES, readOnly = false) int copies,
                        @Advice.Argument(value = TOPIC_FUNCTION_COPIES + 1, readOnly = false)
                        scala.collection.Map<Object, Seq<Object>> assignment) {
            copies = Math.min(1, copies);
            assignment = onFirstBroker(assignment);
        }
    }

    public static scala.collection.Map<Object, Seq<Object>> onFirstBroker(scala.collection.Map<Object, Seq<Object>> assignment) {
        Map<Object, Seq<Object>> cut = new HashMap<>();
        for (Object partition : CollectionConverters.asJava(assignment).keySet()) {
            cut.put(partition, CollectionConverters.asScala(List.<Object>of(0)));
        }
        return CollectionConverters.asScala(cut);
    }
}

package ottla;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaBroker;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.test.ClusterInstance;
import org.apache.kafka.common.test.KafkaClusterTestKit;
import org.apache.kafka.common.test.TestKitNodes;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.apache.kafka.metadata.BrokerState;
import org.apache.kafka.metadata.bootstrap.BootstrapMetadata;
import org.apache.kafka.server.common.Feature;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.server.fault.FaultHandlerException;

/**
 * The cluster that a test asked for, cut down to one broker and one controller.
 *
 * <p>Many of Apache's tests ask for three brokers and never look at the second. Cut down alike on Ottla and for the
 * baseline, they say what one node does; a test that does need several fails on Apache Kafka too and waits for the
 * cluster. Only numbers of copies are cut: those of {@link #createTopic} and of the settings below.
 */
public final class OneNodeCluster implements ClusterInstance {
    private static final Set<String> SETTINGS_OF_COPIES = Set.of(
        "default.replication.factor",
        "min.insync.replicas",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "share.coordinator.state.topic.min.isr");
    private static final Set<String> COPIES_BY_DEFAULT = Set.of(
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "share.coordinator.state.topic.min.isr");
    private static final long START_MS = 30_000;

    private final ClusterConfig asked;
    private final boolean combined;
    private KafkaClusterTestKit kit;
    private boolean started;
    private boolean stopped;

    public OneNodeCluster(ClusterConfig asked, boolean combined) {
        this.asked = asked;
        this.combined = combined;
    }

    /** What happens before the test's own set-up. */
    public void prepare() throws Exception {
        format();
        if (asked.isAutoStart()) {
            start();
        }
    }

    /** What happens after the test. An end that nobody asked for fails it. */
    public void close() throws Exception {
        if (!stopped) {
            stopped = true;
            if (kit != null) {
                kit.close();
            }
        }
    }

    private void format() throws Exception {
        if (kit != null) {
            return;
        }
        boolean isCut = asked.numBrokers() > 1;
        TestKitNodes nodes = new TestKitNodes.Builder()
            .setBootstrapMetadata(BootstrapMetadata.fromVersions(asked.metadataVersion(), features(), "testkit"))
            .setCombined(combined)
            .setNumBrokerNodes(Math.min(1, asked.numBrokers()))
            .setNumControllerNodes(Math.min(1, asked.numControllers()))
            .setNumDisksPerBroker(asked.numDisksPerBroker())
            .setPerServerProperties(isCut ? ofFirstNodes() : asked.perServerOverrideProperties())
            .setBrokerListenerName(asked.brokerListenerName())
            .setBrokerSecurityProtocol(asked.brokerSecurityProtocol())
            .setControllerListenerName(asked.controllerListenerName())
            .setControllerSecurityProtocol(asked.controllerSecurityProtocol())
            .build();
        KafkaClusterTestKit.Builder builder = new KafkaClusterTestKit.Builder(nodes);
        Map<String, String> properties = isCut ? withOneCopy(asked.serverProperties()) : asked.serverProperties();
        properties.forEach(builder::setConfigProp);
        builder.setStandalone(asked.standalone());
        kit = builder.build();
        kit.format();
    }

    /** The level of every feature: as asked for, else the default of the metadata version. */
    private Map<String, Short> features() {
        Map<String, Short> levels = new TreeMap<>();
        for (Feature feature : Feature.PRODUCTION_FEATURES) {
            levels.put(feature.featureName(), feature.defaultLevel(asked.metadataVersion()));
        }
        asked.features().forEach((feature, level) -> levels.put(feature.featureName(), level));
        levels.put(MetadataVersion.FEATURE_NAME, asked.metadataVersion().featureLevel());
        return levels;
    }

    private Map<Integer, Map<String, String>> ofFirstNodes() {
        Set<Integer> first = Set.of(0, 3000);
        return asked.perServerOverrideProperties().entrySet().stream()
            .filter(entry -> first.contains(entry.getKey()))
            .collect(Collectors.toMap(Map.Entry::getKey, entry -> withOneCopy(entry.getValue())));
    }

    private static Map<String, String> withOneCopy(Map<String, String> properties) {
        Map<String, String> cut = new HashMap<>(properties);
        COPIES_BY_DEFAULT.forEach(key -> cut.putIfAbsent(key, "1"));
        cut.replaceAll((key, value) -> SETTINGS_OF_COPIES.contains(key) ? "1" : value);
        return cut;
    }

    @Override
    public void start() {
        try {
            format();
            if (started) {
                return;
            }
            started = true;
            kit.startup();
            waitUntilRunning();
        } catch (Exception failure) {
            throw new RuntimeException("the cluster did not start", failure);
        }
    }

    private void waitUntilRunning() throws InterruptedException {
        long deadline = System.currentTimeMillis() + START_MS;
        while (!kit.brokers().values().stream().allMatch(broker -> broker.brokerState() == BrokerState.RUNNING)) {
            if (System.currentTimeMillis() > deadline) {
                throw new AssertionError("the broker is not running after " + START_MS + " ms");
            }
            Thread.sleep(20);
        }
    }

    @Override
    public void stop() {
        try {
            close();
        } catch (Exception failure) {
            throw new RuntimeException("the cluster did not stop well", failure);
        }
    }

    @Override
    public void createTopic(String topic, int partitions, short copies, Map<String, String> settings)
            throws InterruptedException {
        short possible = asked.numBrokers() > 1 ? (short) Math.min(1, copies) : copies;
        Map<String, String> fitting = asked.numBrokers() > 1 && settings.containsKey("min.insync.replicas")
            ? withOneCopyOf(settings) : settings;
        ClusterInstance.super.createTopic(topic, partitions, possible, fitting);
    }

    private static Map<String, String> withOneCopyOf(Map<String, String> settings) {
        Map<String, String> cut = new HashMap<>(settings);
        cut.put("min.insync.replicas", "1");
        return cut;
    }

    @Override
    public void shutdownBroker(int id) {
        broker(id).shutdown();
    }

    @Override
    public void startBroker(int id) {
        broker(id).startup();
    }

    private BrokerServer broker(int id) {
        BrokerServer broker = kit.brokers().get(id);
        if (broker == null) {
            throw new IllegalArgumentException("there is no broker " + id);
        }
        return broker;
    }

    @Override
    public void waitForReadyBrokers() throws InterruptedException {
        try {
            kit.waitForReadyBrokers();
        } catch (ExecutionException failure) {
            throw new AssertionError("the brokers did not become ready", failure);
        }
    }

    @Override
    public Type type() {
        return combined ? Type.CO_KRAFT : Type.KRAFT;
    }

    @Override
    public ClusterConfig config() {
        return asked;
    }

    @Override
    public Map<Integer, KafkaBroker> brokers() {
        return new HashMap<>(kit.brokers());
    }

    @Override
    public Map<Integer, ControllerServer> controllers() {
        return Map.copyOf(kit.controllers());
    }

    @Override
    public Set<Integer> controllerIds() {
        return kit.controllers().keySet();
    }

    @Override
    public ListenerName clientListener() {
        return asked.brokerListenerName();
    }

    @Override
    public ListenerName controllerListenerName() {
        return asked.controllerListenerName();
    }

    @Override
    public String bootstrapServers() {
        return kit.bootstrapServers();
    }

    @Override
    public String bootstrapControllers() {
        return kit.bootstrapControllers();
    }

    @Override
    public String clusterId() {
        return kit.nodes().clusterId();
    }

    @Override
    public Optional<FaultHandlerException> firstFatalException() {
        return Optional.ofNullable(kit.fatalFaultHandler().firstException());
    }

    @Override
    public Optional<FaultHandlerException> firstNonFatalException() {
        return Optional.ofNullable(kit.nonFatalFaultHandler().firstException());
    }

    @Override
    public boolean started() {
        return started;
    }

    @Override
    public boolean stopped() {
        return stopped;
    }
}

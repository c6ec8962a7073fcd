package org.apache.kafka.common.test;

import java.io.File;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.controller.Controller;
import org.apache.kafka.server.common.ApiMessageAndVersion;
import ottla.OttlaBroker;

/**
 * Starts Ottla where Apache's tests start Apache Kafka. It stands before Apache's class of this name on the class path
 * and has the members that tests use. A broker and a controller of a test's cluster are one Ottla process.
 */
public final class KafkaClusterTestKit implements AutoCloseable {
    /** The cluster as a test wants it. */
    public static final class Builder {
        private final TestKitNodes nodes;
        private final Map<String, Object> settings = new HashMap<>();
        private boolean deleteOnClose = true;

        public Builder(TestKitNodes nodes) {
            this.nodes = nodes;
        }

        public Builder setConfigProp(String key, Object value) {
            settings.put(key, value);
            return this;
        }

        /** How the controllers find each other makes no difference to one node. */
        public Builder setStandalone(boolean standalone) {
            return this;
        }

        /** How the controllers find each other makes no difference to one node. */
        public Builder setInitialVoterSet(Map<Integer, Uuid> voters) {
            return this;
        }

        public Builder setDeleteOnClose(boolean deleteOnClose) {
            this.deleteOnClose = deleteOnClose;
            return this;
        }

        public KafkaClusterTestKit build() throws Exception {
            if (nodes.brokerNodes().size() > 1) {
                throw new UnsupportedOperationException("a cluster of several brokers");
            }
            return new KafkaClusterTestKit(nodes, settings, deleteOnClose);
        }
    }

    private final TestKitNodes nodes;
    private final boolean deleteOnClose;
    private final MockFaultHandler fatalFaults = new MockFaultHandler("fatalFaultHandler");
    private final MockFaultHandler otherFaults = new MockFaultHandler("nonFatalFaultHandler");
    private final Map<Integer, OttlaBroker> brokers = new TreeMap<>();

    private KafkaClusterTestKit(TestKitNodes nodes, Map<String, Object> settings, boolean deleteOnClose)
            throws Exception {
        this.nodes = nodes;
        this.deleteOnClose = deleteOnClose;
        for (TestKitNode node : nodes.brokerNodes().values()) {
            int brokerPort = OttlaBroker.freePort();
            int controllerPort = OttlaBroker.freePort();
            Path directory = Path.of(nodes.baseDirectory(), "ottla-" + node.id());
            Map<String, Object> all = settingsOf(node, settings, brokerPort, controllerPort);
            brokers.put(node.id(), new OttlaBroker(directory, all, nodes.clusterId(), brokerPort, controllerPort, fatalFaults));
        }
    }

    /** The settings of a node that is broker and controller, as a test's own come over ours. */
    private Map<String, Object> settingsOf(TestKitNode node, Map<String, Object> asked, int brokerPort, int controllerPort) {
        String broker = nodes.brokerListenerName().value();
        String controller = nodes.controllerListenerName().value();
        Map<String, Object> settings = new HashMap<>();
        settings.put("listeners", "%s://localhost:%d,%s://localhost:%d".formatted(broker, brokerPort, controller, controllerPort));
        settings.put("listener.security.protocol.map",
            "%s:%s,%s:%s".formatted(broker, nodes.brokerListenerProtocol(), controller, nodes.controllerListenerProtocol()));
        settings.put("inter.broker.listener.name", broker);
        settings.put("controller.listener.names", controller);
        // Apache's kit sets it too, and a test counts on how many cleaner threads it allows.
        settings.put("log.cleaner.dedupe.buffer.size", "2097152");
        settings.putAll(asked);
        settings.put("process.roles", "broker,controller");
        settings.put("node.id", Integer.toString(node.id()));
        settings.put("controller.quorum.voters", "%d@localhost:%d".formatted(node.id(), controllerPort));
        settings.put("log.dirs", String.join(",", node.logDataDirectories()));
        settings.putAll(node.propertyOverrides());
        nodes.controllerNodes().values().forEach(other -> settings.putAll(other.propertyOverrides()));
        return settings;
    }

    public void format() throws Exception {
        for (OttlaBroker broker : brokers.values()) {
            broker.format(nodes.clusterId());
        }
    }

    public void startup() {
        brokers().values().forEach(BrokerServer::startup);
    }

    /** A broker that listens is ready. */
    public void waitForReadyBrokers() throws java.util.concurrent.ExecutionException, InterruptedException {
    }

    public Admin admin() {
        return admin(Map.of());
    }

    public Admin admin(Map<String, Object> configs) {
        return admin(configs, false);
    }

    public Admin admin(Map<String, Object> configs, boolean usingBootstrapControllers) {
        Map<String, Object> all = new HashMap<>(configs);
        all.remove(usingBootstrapControllers ? "bootstrap.servers" : "bootstrap.controllers");
        if (usingBootstrapControllers) {
            all.putIfAbsent("bootstrap.controllers", bootstrapControllers());
        } else {
            all.putIfAbsent("bootstrap.servers", bootstrapServers());
        }
        return Admin.create(all);
    }

    public String bootstrapServers() {
        return brokers().values().stream()
            .map(broker -> "localhost:" + broker.boundPort(nodes.brokerListenerName()))
            .collect(Collectors.joining(","));
    }

    public String bootstrapControllers() {
        return controllers().values().stream()
            .map(controller -> "localhost:" + controller.socketServer().boundPort(nodes.controllerListenerName()))
            .collect(Collectors.joining(","));
    }

    public Map<Integer, BrokerServer> brokers() {
        Map<Integer, BrokerServer> all = new TreeMap<>();
        brokers.forEach((id, broker) -> all.put(id, broker.broker()));
        return all;
    }

    /** Every controller that the test asked for, which is the same process as its broker. */
    public Map<Integer, ControllerServer> controllers() {
        Map<Integer, ControllerServer> all = new TreeMap<>();
        brokers.values().stream().findFirst().ifPresent(broker ->
            nodes.controllerNodes().keySet().forEach(id -> all.put(id, broker.controller())));
        return all;
    }

    public Controller waitForActiveController() {
        return controllers().values().iterator().next().controller();
    }

    public Map<Integer, KafkaRaftManager<ApiMessageAndVersion>> raftManagers() {
        throw new UnsupportedOperationException("reaches into the broker in this JVM: raftManagers");
    }

    public TestKitNodes nodes() {
        return nodes;
    }

    public MockFaultHandler fatalFaultHandler() {
        return fatalFaults;
    }

    public MockFaultHandler nonFatalFaultHandler() {
        return otherFaults;
    }

    @Override
    public void close() throws Exception {
        brokers().values().forEach(BrokerServer::shutdown);
        if (deleteOnClose) {
            Utils.delete(new File(nodes.baseDirectory()));
        }
        fatalFaults.maybeRethrowFirstException();
        otherFaults.maybeRethrowFirstException();
    }
}

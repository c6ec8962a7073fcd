package kafka.server;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import kafka.utils.Logging;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.fault.FaultHandler;
import ottla.OttlaBroker;
import scala.Option;

/**
 * Starts Ottla where Apache's older tests, those of {@code QuorumTestHarness}, start a broker. It stands before
 * Apache's class of this name on the class path.
 *
 * <p>The harness brings a controller in this JVM, to which nobody speaks. A test of several brokers gets the first of them under every name, as {@link ottla.OneNodeCluster} cuts down the
 * newer tests' clusters.
 */
public final class KRaftQuorumImplementation implements QuorumImplementation {
    private final ControllerServer controller;
    private final FaultHandlerFactory faultHandlerFactory;
    private final File metadataDir;
    private final CompletableFuture<Map<Integer, InetSocketAddress>> voters;
    private final String clusterId;
    private final Logging log;
    private final FaultHandler faultHandler;
    private OttlaBroker node;
    private int firstId;

    public KRaftQuorumImplementation(
            ControllerServer controller, FaultHandlerFactory faultHandlerFactory, File metadataDir,
            CompletableFuture<Map<Integer, InetSocketAddress>> voters, String clusterId, Logging log,
            FaultHandler faultHandler) {
        this.controller = controller;
        this.faultHandlerFactory = faultHandlerFactory;
        this.metadataDir = metadataDir;
        this.voters = voters;
        this.clusterId = clusterId;
        this.log = log;
        this.faultHandler = faultHandler;
    }

    @Override
    public KafkaBroker createBroker(KafkaConfig config, Time time, boolean startup, Option<String> threads) {
        if (node == null || config.nodeId() == firstId) {
            try {
                shutdownNode();
                firstId = config.nodeId();
                node = newNode(config);
            } catch (IOException | InterruptedException failure) {
                throw new IllegalStateException(failure);
            }
        }
        if (startup) {
            node.broker().startup();
        }
        return node.broker();
    }

    private OttlaBroker newNode(KafkaConfig config) throws IOException, InterruptedException {
        int controllerPort = OttlaBroker.freePort();
        Map<String, Object> settings = new HashMap<>(config.originals());
        String listeners = withFreePorts(settings.get("listeners").toString());
        settings.put("listeners", "%s,CONTROLLER://localhost:%d".formatted(listeners, controllerPort));
        settings.put("advertised.listeners", listeners);
        settings.put("controller.listener.names", "CONTROLLER");
        settings.put("controller.quorum.voters", "%d@localhost:%d".formatted(config.nodeId(), controllerPort));
        settings.put("process.roles", "broker,controller");
        int port = Integer.parseInt(listeners.replaceAll("^[^,]*:(\\d+).*$", "$1"));
        Path directory = metadataDir.toPath().resolve("ottla");
        OttlaBroker created = new OttlaBroker(directory, settings, clusterId, port, controllerPort, faultHandler);
        created.format(clusterId);
        return created;
    }

    /** The text with a free port for every one that is 0. */
    private static String withFreePorts(String listeners) throws IOException {
        String numbered = listeners;
        while (numbered.matches(".*:0(,.*)?")) {
            numbered = numbered.replaceFirst(":0(?=,|$)", ":" + OttlaBroker.freePort());
        }
        return numbered;
    }

    @Override
    public void shutdown() {
        shutdownNode();
        controller.shutdown();
    }

    private void shutdownNode() {
        if (node != null) {
            node.broker().shutdown();
        }
    }

    public ControllerServer controllerServer() {
        return node == null ? controller : node.controller();
    }

    public FaultHandlerFactory faultHandlerFactory() {
        return faultHandlerFactory;
    }

    public File metadataDir() {
        return metadataDir;
    }

    public CompletableFuture<Map<Integer, InetSocketAddress>> controllerQuorumVotersFuture() {
        return voters;
    }

    public String clusterId() {
        return clusterId;
    }

    public Logging log() {
        return log;
    }

    public FaultHandler faultHandler() {
        return faultHandler;
    }
}

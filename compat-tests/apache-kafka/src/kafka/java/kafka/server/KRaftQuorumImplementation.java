package kafka.server;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import kafka.utils.Logging;
import org.apache.kafka.common.DirectoryId;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.properties.MetaProperties;
import org.apache.kafka.metadata.properties.MetaPropertiesEnsemble;
import org.apache.kafka.metadata.properties.MetaPropertiesVersion;
import org.apache.kafka.server.ServerSocketFactory;
import org.apache.kafka.server.fault.FaultHandler;
import scala.Option;

/**
 * Starts Apache's broker for Apache's older tests, those of {@code QuorumTestHarness}. It stands before Apache's class
 * of this name on the class path when Apache Kafka is tested.
 *
 * <p>A test of several brokers gets the first of them under every name, as on Ottla and as
 * {@link ottla.OneNodeCluster} cuts down the newer tests' clusters.
 */
public final class KRaftQuorumImplementation implements QuorumImplementation {
    private final ControllerServer controller;
    private final FaultHandlerFactory faultHandlerFactory;
    private final File metadataDir;
    private final CompletableFuture<Map<Integer, InetSocketAddress>> voters;
    private final String clusterId;
    private final Logging log;
    private final FaultHandler faultHandler;
    private BrokerServer node;
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
            shutdownNode();
            firstId = config.nodeId();
            node = newNode(config, time);
        }
        if (startup) {
            node.startup();
        }
        return node;
    }

    private BrokerServer newNode(KafkaConfig config, Time time) {
        try {
            return new BrokerServer(new SharedServer(config, identity(config), time, new Metrics(), voters,
                voters.join().values(), faultHandlerFactory, ServerSocketFactory.INSTANCE));
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    /** Who owns the log directories: as they say themselves, else this node, which is then written into them. */
    private MetaPropertiesEnsemble identity(KafkaConfig config) throws IOException {
        MetaPropertiesEnsemble found = new MetaPropertiesEnsemble.Loader()
            .addLogDirs(config.logDirs())
            .addMetadataLogDir(config.metadataLogDir())
            .load();
        MetaPropertiesEnsemble.Copier copier = new MetaPropertiesEnsemble.Copier(found);
        for (String directory : found.emptyLogDirs()) {
            Files.createDirectories(Path.of(directory));
            copier.setLogDirProps(directory, new MetaProperties.Builder()
                .setVersion(MetaPropertiesVersion.V1)
                .setClusterId(clusterId)
                .setNodeId(config.nodeId())
                .setDirectoryId(DirectoryId.random())
                .build());
        }
        copier.writeLogDirChanges();
        return copier.copy();
    }

    @Override
    public void shutdown() {
        shutdownNode();
        controller.shutdown();
    }

    private void shutdownNode() {
        if (node != null) {
            node.shutdown();
        }
    }

    public ControllerServer controllerServer() {
        return controller;
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

package ottla;

import static org.mockito.Mockito.doAnswer;
import static org.mockito.Mockito.doReturn;
import static org.mockito.Mockito.mock;
import static org.mockito.Mockito.withSettings;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import kafka.log.LogManager;
import kafka.network.SocketServer;
import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaApis;
import kafka.server.KafkaConfig;
import kafka.server.ReplicaManager;
import kafka.server.SharedServer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.controller.Controller;
import org.apache.kafka.controller.ResultOrError;
import org.apache.kafka.coordinator.group.GroupCoordinator;
import org.apache.kafka.image.loader.MetadataLoader;
import org.apache.kafka.metadata.BrokerState;
import org.apache.kafka.server.BrokerLifecycleManager;
import org.apache.kafka.server.fault.FaultHandler;
import org.mockito.Mockito;
import org.mockito.stubbing.Answer;

/**
 * An Ottla process behind the Java objects through which Apache's tests see a broker and a controller.
 *
 * <p>What a client could ask the broker is answered by asking it. Whatever else a test asks of these objects, it asks
 * of the inside of Apache's broker, and it fails with {@link ReachesInside}.
 */
public final class OttlaBroker {
    private static final Set<Integer> GIVEN = ConcurrentHashMap.newKeySet();

    /** A test asks for something that only a broker in this JVM has. */
    static final class ReachesInside extends UnsupportedOperationException {
        ReachesInside(String what) {
            super("reaches into the broker in this JVM: " + what);
        }
    }

    private static final Answer<Object> REFUSE = call -> {
        String method = call.getMethod().getName();
        if (method.equals("toString") || method.equals("hashCode") || method.equals("equals")) {
            return Mockito.RETURNS_DEFAULTS.answer(call);
        }
        throw new ReachesInside(call.getMethod().getDeclaringClass().getSimpleName() + "." + method);
    };

    private final KafkaConfig config;
    private final OttlaProcess process;
    private final ClientView view;
    private final BrokerServer broker;
    private final ControllerServer controller;

    /**
     * {@code settings} are the node's, with real ports: {@code brokerPort} for clients, {@code controllerPort} for
     * those that speak to controllers.
     */
    public OttlaBroker(Path directory, Map<String, ?> settings, String clusterId, int brokerPort, int controllerPort,
                       FaultHandler faults) throws IOException {
        config = new KafkaConfig(settings, false);
        process = new OttlaProcess(directory, settings, brokerPort, faults);
        view = new ClientView(config.nodeId(), brokerPort);
        broker = brokerOf(clusterId, brokerPort);
        controller = controllerOf(clusterId, controllerPort);
    }

    /** A port that is free now, and that this process has not been given before. */
    public static int freePort() throws IOException {
        while (true) {
            try (ServerSocket socket = new ServerSocket(0)) {
                if (GIVEN.add(socket.getLocalPort())) {
                    return socket.getLocalPort();
                }
            }
        }
    }

    public void format(String clusterId) throws IOException, InterruptedException {
        process.format(clusterId);
    }

    public BrokerServer broker() {
        return broker;
    }

    public ControllerServer controller() {
        return controller;
    }

    /** The settings that the node was started with, and what was changed since. */
    private KafkaConfig currentConfig() {
        Map<String, String> changed = process.isAlive() ? view.changedSettings(config.nodeId()) : Map.of();
        if (changed.isEmpty()) {
            return config;
        }
        Map<String, Object> settings = new HashMap<>(config.originals());
        settings.putAll(changed);
        return new KafkaConfig(settings, false);
    }

    private void shutdown() {
        view.close();
        process.stop();
    }

    private BrokerServer brokerOf(String clusterId, int port) {
        BrokerServer broker = mock(BrokerServer.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doReturn(clusterId).when(broker).clusterId();
        doAnswer(call -> currentConfig()).when(broker).config();
        doReturn(port).when(broker).boundPort(Mockito.any());
        doReturn(socketsAt(port)).when(broker).socketServer();
        doReturn(scala.Option.empty()).when(broker).authorizerPlugin();
        doReturn(sharedServer()).when(broker).sharedServer();
        doReturn(logManager()).when(broker).logManager();
        doReturn(replicaManager()).when(broker).replicaManager();
        doReturn(lifecycle()).when(broker).lifecycleManager();
        doReturn(groupCoordinator()).when(broker).groupCoordinator();
        doReturn(requestProcessor()).when(broker).dataPlaneRequestProcessor();
        doAnswer(call -> process.isAlive() ? BrokerState.RUNNING : BrokerState.NOT_RUNNING).when(broker).brokerState();
        doAnswer(call -> !process.isAlive()).when(broker).isShutdown();
        doAnswer(call -> view.metadata()).when(broker).metadataCache();
        doAnswer(run(process::start)).when(broker).startup();
        doAnswer(run(this::shutdown)).when(broker).shutdown();
        doAnswer(run(this::shutdown)).when(broker).shutdown(Mockito.any());
        doAnswer(run(() -> { })).when(broker).awaitShutdown();
        return broker;
    }

    private ControllerServer controllerOf(String clusterId, int port) {
        ControllerServer server = mock(ControllerServer.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doReturn(clusterId).when(server).clusterId();
        doReturn(config).when(server).config();
        doReturn(socketsAt(port)).when(server).socketServer();
        doReturn(scala.Option.empty()).when(server).authorizerPlugin();
        doReturn(raftManager()).when(server).raftManager();
        doAnswer(run(() -> { })).when(server).shutdown();
        Controller controller = mock(Controller.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doAnswer(call -> CompletableFuture.completedFuture(view.metadata().topicNamesToIds()))
            .when(controller).findAllTopicIds(Mockito.any());
        doAnswer(call -> CompletableFuture.completedFuture(idsOf(call.getArgument(1))))
            .when(controller).findTopicIds(Mockito.any(), Mockito.any());
        doReturn(controller).when(server).controller();
        return server;
    }

    private Map<String, ResultOrError<Uuid>> idsOf(Collection<String> topics) {
        Map<String, Uuid> known = view.metadata().topicNamesToIds();
        return topics.stream().collect(Collectors.toMap(topic -> topic, topic -> known.containsKey(topic)
            ? new ResultOrError<>(known.get(topic)) : new ResultOrError<>(Errors.UNKNOWN_TOPIC_OR_PARTITION, null)));
    }

    private static SocketServer socketsAt(int port) {
        SocketServer sockets = mock(SocketServer.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doReturn(port).when(sockets).boundPort(Mockito.any(ListenerName.class));
        return sockets;
    }

    /** A client sees metadata when it is in force, so nobody has to wait for a position in the metadata log. */
    private static SharedServer sharedServer() {
        SharedServer shared = mock(SharedServer.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        MetadataLoader loader = mock(MetadataLoader.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doReturn(Long.MAX_VALUE).when(loader).lastAppliedOffset();
        doReturn(loader).when(shared).loader();
        return shared;
    }

    /** A broker that listens is no longer fenced. */
    private static BrokerLifecycleManager lifecycle() {
        BrokerLifecycleManager manager = mock(BrokerLifecycleManager.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doReturn(CompletableFuture.completedFuture(null)).when(manager).initialUnfenceFuture();
        return manager;
    }

    private static KafkaRaftManager<?> raftManager() {
        return mock(KafkaRaftManager.class, withSettings().stubOnly().defaultAnswer(Mockito.RETURNS_DEEP_STUBS));
    }

    private KafkaApis requestProcessor() {
        KafkaApis apis = mock(KafkaApis.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doAnswer(call -> view.hasConsumerGroups()).when(apis).isConsumerGroupProtocolEnabled();
        doAnswer(call -> view.metadata()).when(apis).metadataCache();
        return apis;
    }

    /** What a topic for offsets is created with: a broker's settings say it. */
    private GroupCoordinator groupCoordinator() {
        Properties topic = new Properties();
        topic.setProperty("cleanup.policy", "compact");
        topic.setProperty("compression.type", "producer");
        topic.setProperty("segment.bytes", Integer.toString(config.groupCoordinatorConfig().offsetsTopicSegmentBytes()));
        GroupCoordinator groups = mock(GroupCoordinator.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doReturn(topic).when(groups).groupMetadataTopicConfigs();
        return groups;
    }

    /** That a topic is gone can be seen from outside; how its log looks cannot. */
    private LogManager logManager() {
        LogManager logs = mock(LogManager.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doAnswer(call -> goneOrRefused(call.getArgument(0), "LogManager.getLog")).when(logs)
            .getLog(Mockito.any(), Mockito.anyBoolean());
        doReturn(scala.collection.immutable.Nil$.MODULE$).when(logs).liveLogDirs();
        return logs;
    }

    private ReplicaManager replicaManager() {
        ReplicaManager replicas = mock(ReplicaManager.class, withSettings().stubOnly().defaultAnswer(REFUSE));
        doAnswer(call -> goneOrRefused(call.getArgument(0), "ReplicaManager.onlinePartition")).when(replicas)
            .onlinePartition(Mockito.any());
        return replicas;
    }

    private scala.Option<?> goneOrRefused(TopicPartition partition, String what) {
        if (view.metadata().contains(partition)) {
            throw new ReachesInside(what);
        }
        return scala.Option.empty();
    }

    private static Answer<Void> run(Runnable action) {
        return call -> {
            action.run();
            return null;
        };
    }
}

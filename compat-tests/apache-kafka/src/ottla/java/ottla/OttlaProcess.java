package ottla;

import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.server.fault.FaultHandler;

/** One Ottla process with the settings of one node. It may be started again after it was stopped. */
final class OttlaProcess {
    private static final String BINARY = System.getProperty("ottla.bin");
    private static final long START_MS = 20_000;
    private static final long STOP_SECONDS = 20;

    private final Path settings;
    private final Path log;
    private final int port;
    private final FaultHandler faults;
    private Process process;

    /** {@code port} is the one among the settings' listeners that answers when the node is up. */
    OttlaProcess(Path directory, Map<String, ?> settings, int port, FaultHandler faults) throws IOException {
        Files.createDirectories(directory);
        this.settings = directory.resolve("server.properties");
        this.log = directory.resolve("ottla.log");
        this.port = port;
        this.faults = faults;
        Properties properties = new Properties();
        settings.forEach((key, value) -> properties.setProperty(key, value.toString()));
        try (OutputStream out = Files.newOutputStream(this.settings)) {
            properties.store(out, null);
        }
    }

    void format(String clusterId) throws IOException, InterruptedException {
        Process format = spawn("format", "-t", clusterId, "-c", settings.toString(), "--ignore-formatted");
        if (!format.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
            format.destroyForcibly();
            throw new IOException("ottla format does not end; its log is " + log);
        }
        if (format.exitValue() != 0) {
            throw new IOException("ottla format: " + lastWords());
        }
    }

    synchronized void start() {
        if (isAlive()) {
            return;
        }
        try {
            process = spawn(settings.toString());
            long deadline = System.currentTimeMillis() + START_MS;
            while (!isListening()) {
                if (!process.isAlive()) {
                    process = null;
                    throw new IllegalStateException("ottla did not start: " + lastWords());
                }
                if (System.currentTimeMillis() > deadline) {
                    stop();
                    throw new IllegalStateException("ottla is not listening after " + START_MS + " ms: " + lastWords());
                }
                Thread.sleep(2);
            }
        } catch (IOException failure) {
            throw new IllegalStateException(failure);
        } catch (InterruptedException interrupted) {
            kill();
            Thread.currentThread().interrupt();
            throw new IllegalStateException(interrupted);
        }
    }

    /** Stops it as an operator does. That it had ended by itself is a fault. */
    synchronized void stop() {
        if (process == null) {
            return;
        }
        if (!process.isAlive()) {
            faults.handleFault("ottla ended by itself with " + process.exitValue() + ": " + lastWords(), null);
            process = null;
            return;
        }
        process.destroy();
        try {
            if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
                faults.handleFault("ottla does not stop: " + lastWords(), null);
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        } finally {
            kill();
        }
    }

    private void kill() {
        if (process != null) {
            process.destroyForcibly();
            process = null;
        }
    }

    synchronized boolean isAlive() {
        return process != null && process.isAlive();
    }

    private Process spawn(String... arguments) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(BINARY).redirectErrorStream(true)
            .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
            .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
        builder.command().addAll(List.of(arguments));
        // Ottla takes settings from such variables; here they all stand in the file.
        builder.environment().keySet().removeIf(name -> name.startsWith("KAFKA_"));
        return builder.start();
    }

    private boolean isListening() {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("localhost", port), 1_000);
            return true;
        } catch (IOException refused) {
            return false;
        }
    }

    private String lastWords() {
        try {
            List<String> lines = Files.readAllLines(log);
            return String.join(" | ", lines.subList(Math.max(0, lines.size() - 3), lines.size()));
        } catch (IOException unread) {
            return "(no log: " + unread.getMessage() + ")";
        }
    }
}

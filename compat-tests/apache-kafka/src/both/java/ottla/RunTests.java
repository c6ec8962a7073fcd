package ottla;

import java.io.PrintStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.server.common.MetadataVersion;
import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherConfig;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs test classes and writes a line per event as it happens, so that of a run that was stopped one knows how far it
 * came: {@code started CASE} and {@code passed|failed|skipped CASE MILLISECONDS WHY}, with tabs between the fields.
 *
 * <p>usage: RunTests FILE CLASS...; the properties {@code ottla.methods} and
 * {@code ottla.without} name methods that run or do not, with commas between them.
 */
public final class RunTests implements TestExecutionListener {
    /** How a test of a cluster is called: its method, an order that changes from run to run, its cluster. */
    private static final Pattern CLUSTER_TEST = Pattern.compile(
        ".* \\[\\d+] Type=Raft-(?<type>\\w+), (?<tags>.*?),?MetadataVersion=(?<version>[^,]*),"
            + "BrokerSecurityProtocol=(?<protocol>\\w+),.*");
    private static final String VERSION_BY_DEFAULT = MetadataVersion.latestTesting().toString();

    private final PrintStream events;
    private final Map<String, String> names = new HashMap<>();
    private final Map<String, Integer> namesakes = new HashMap<>();
    private final Map<String, Long> started = new HashMap<>();

    private RunTests(PrintStream events) {
        this.events = events;
    }

    public static void main(String[] arguments) throws Exception {
        OneNodeHarness.install();
        DiscoverySelector[] selected = Arrays.stream(arguments).skip(1)
            .map(DiscoverySelectors::selectClass)
            .toArray(DiscoverySelector[]::new);
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request().selectors(selected).build();
        LauncherConfig config = LauncherConfig.builder().addPostDiscoveryFilters(ofMethods()).build();
        try (PrintStream events = new PrintStream(arguments[0])) {
            LauncherFactory.create(config).execute(request, new RunTests(events));
            events.println("end");
            events.flush();
        }
        // Threads that a test left behind do not hold up the next class.
        Runtime.getRuntime().exit(0);
    }

    private static PostDiscoveryFilter ofMethods() {
        Set<String> wanted = methodsOf("ottla.methods");
        Set<String> unwanted = methodsOf("ottla.without");
        return test -> {
            String method = test.getSource().filter(MethodSource.class::isInstance)
                .map(source -> ((MethodSource) source).getMethodName()).orElse(null);
            boolean runs = method == null || !unwanted.contains(method) && (wanted.isEmpty() || wanted.contains(method));
            return runs ? FilterResult.included("asked for") : FilterResult.excluded("not asked for");
        };
    }

    private static Set<String> methodsOf(String property) {
        String methods = System.getProperty(property, "");
        return methods.isEmpty() ? Set.of() : Set.of(methods.split(","));
    }

    @Override
    public void executionStarted(TestIdentifier test) {
        if (test.isTest()) {
            started.put(test.getUniqueId(), System.nanoTime());
            write("started", nameOf(test));
        }
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        boolean passed = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
        String why = result.getThrowable().map(RunTests::describe).orElse("");
        if (test.isTest()) {
            boolean skipped = result.getStatus() == TestExecutionResult.Status.ABORTED;
            write(passed ? "passed" : skipped ? "skipped" : "failed", nameOf(test), millisecondsOf(test), why);
        } else if (!passed) {
            write("failed", nameOf(test), "0", why);
        }
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        write("skipped", nameOf(test), "0", reason);
    }

    private String millisecondsOf(TestIdentifier test) {
        return Long.toString((System.nanoTime() - started.get(test.getUniqueId())) / 1_000_000);
    }

    private String nameOf(TestIdentifier test) {
        return names.computeIfAbsent(test.getUniqueId(), id -> {
            String name = test.getSource()
                .filter(MethodSource.class::isInstance)
                .map(source -> methodAndVariant((MethodSource) source, test.getDisplayName()))
                .orElse("(the whole class)");
            int count = namesakes.merge(name, 1, Integer::sum);
            return count == 1 ? name : name + " #" + count;
        });
    }

    private static String methodAndVariant(MethodSource source, String displayed) {
        String variant = variantOf(source.getMethodName(), displayed);
        return variant.isEmpty() ? source.getMethodName() : source.getMethodName() + " [" + variant + "]";
    }

    private static String variantOf(String method, String displayed) {
        Matcher cluster = CLUSTER_TEST.matcher(displayed);
        if (!cluster.matches()) {
            // A parameterised test: method(Types).name=value, in quotes or not. A time changes from run to run.
            return displayed.replaceAll("^\"|\"$", "")
                .replaceFirst("^" + Pattern.quote(method) + "\\([^)]*\\)\\.?", "")
                .replaceAll("\\b1\\d{12}\\b", "TIME");
        }
        StringBuilder variant = new StringBuilder(cluster.group("type").toLowerCase());
        if (!cluster.group("tags").isEmpty()) {
            variant.append(", ").append(cluster.group("tags"));
        }
        if (!cluster.group("version").equals(VERSION_BY_DEFAULT)) {
            variant.append(", ").append(cluster.group("version"));
        }
        if (!cluster.group("protocol").equals("PLAINTEXT")) {
            variant.append(", ").append(cluster.group("protocol"));
        }
        return variant.toString();
    }

    /** The failure in one line, with where in the test it happened and what caused it. */
    private static String describe(Throwable failure) {
        StringBuilder line = new StringBuilder();
        Arrays.stream(failure.getStackTrace())
            .filter(frame -> frame.getClassName().endsWith("Test"))
            .findFirst()
            .ifPresent(frame -> line.append("line ").append(frame.getLineNumber()).append(": "));
        line.append(failure);
        Throwable cause = failure.getCause();
        for (int depth = 0; cause != null && depth < 4; depth++) {
            line.append(" <- ").append(cause);
            cause = cause.getCause();
        }
        for (Throwable suppressed : failure.getSuppressed()) {
            line.append(" <+ ").append(suppressed);
        }
        String oneLine = line.toString().replaceAll("\\s+", " ");
        return oneLine.length() > 1_000 ? oneLine.substring(0, 1_000) : oneLine;
    }

    private synchronized void write(String... fields) {
        events.println(String.join("\t", fields));
        events.flush();
    }
}

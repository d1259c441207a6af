// The just-in-time compilers, implicit null checks and safepoints by way of SIGSEGV, stack overflow, garbage collection with
// each collector's barriers, many threads, monitors, timers, memory-mapped files and processors.
// compat: timeout=400 jvm=-Xmx128m
// compat: stdin="one\nlast"
import java.io.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.concurrent.locks.*;
import java.util.stream.*;
import java.util.zip.*;

public class Machine {
    static class Node {
        int value;
        Node next;
        Node(int value, Node next) { this.value = value; this.next = next; }
    }

    static int valueOf(Node n) { return n.value; }

    // Compiled code has no null check: it loads, and the handler of SIGSEGV finds the exception.
    static void nulls() {
        int sum = 0, caught = 0;
        Node node = new Node(1, null);
        for (int i = 0; i < 200_000; i++) sum += valueOf(node);
        for (int i = 0; i < 1000; i++) {
            try { sum += valueOf(i % 2 == 0 ? null : node); } catch (NullPointerException e) { caught++; }
        }
        System.out.println("nulls " + sum + " " + caught);
        try { valueOf(null); } catch (NullPointerException e) { System.out.println("nulls " + (e.getMessage() == null || e.getMessage().contains("value"))); }
        try { int zero = caught - 500; System.out.println(1 / zero); } catch (ArithmeticException e) { System.out.println("nulls " + e.getMessage()); }
        try { Object o = new int[2]; ((int[]) o)[caught] = 1; } catch (ArrayIndexOutOfBoundsException e) { System.out.println("nulls " + e.getMessage()); }
        try { Object o = "s"; System.out.println((Integer) o); } catch (ClassCastException e) { System.out.println("nulls cast"); }
    }

    static int depth;
    static int deep(int n) { depth = n; return deep(n + 1) + 1; }

    static void overflows() throws Exception {
        for (int round = 0; round < 3; round++) {
            depth = 0;
            try { deep(0); } catch (StackOverflowError e) { System.out.println("overflow main " + (depth > 1000)); }
        }
        Thread t = new Thread(null, () -> {
            depth = 0;
            try { deep(0); } catch (StackOverflowError e) { System.out.println("overflow thread " + (depth > 1000)); }
        }, "small", 512 << 10);
        t.start();
        t.join();
    }

    static void threads() throws Exception {
        AtomicLong atomic = new AtomicLong();
        int[] plain = new int[1];
        Object monitor = new Object();
        List<Thread> all = new ArrayList<>();
        for (int i = 0; i < 24; i++) {
            Thread t = new Thread(() -> {
                for (int j = 0; j < 500; j++) {
                    atomic.incrementAndGet();
                    synchronized (monitor) { plain[0]++; }
                    if (j % 100 == 0) Thread.yield();
                }
            });
            all.add(t);
            t.start();
        }
        for (Thread t : all) t.join();
        System.out.println("threads " + atomic + " " + plain[0]);

        ReentrantLock lock = new ReentrantLock();
        Condition turn = lock.newCondition();
        StringBuilder said = new StringBuilder();
        Thread[] pair = new Thread[2];
        int[] next = new int[1];
        for (int me = 0; me < 2; me++) {
            final int mine = me;
            pair[me] = new Thread(() -> {
                for (int j = 0; j < 50; j++) {
                    lock.lock();
                    try {
                        while (next[0] != mine) turn.await();
                        said.append(mine == 0 ? "a" : "b");
                        next[0] = 1 - mine;
                        turn.signalAll();
                    } catch (InterruptedException e) { throw new RuntimeException(e); } finally { lock.unlock(); }
                }
            });
            pair[me].start();
        }
        for (Thread t : pair) t.join();
        System.out.println("threads " + said.toString().equals("ab".repeat(50)));

        Thread sleeper = new Thread(() -> {
            try { Thread.sleep(60_000); } catch (InterruptedException e) { System.out.println("threads interrupted"); }
        });
        sleeper.start();
        Thread.sleep(20);
        sleeper.interrupt();
        sleeper.join();

        // No call, no allocation: only a safepoint poll stops it, for the collection below.
        AtomicBoolean stop = new AtomicBoolean();
        Thread spinner = new Thread(() -> { long n = 0; while (!stop.get()) n++; });
        spinner.start();
        System.gc();
        stop.set(true);
        spinner.join();
        ScheduledExecutorService timer = Executors.newScheduledThreadPool(2);
        CountDownLatch ticks = new CountDownLatch(5);
        timer.scheduleAtFixedRate(ticks::countDown, 1, 2, TimeUnit.MILLISECONDS);
        System.out.println("threads " + ticks.await(20, TimeUnit.SECONDS));
        timer.shutdownNow();
        System.out.println("threads " + IntStream.rangeClosed(1, 100_000).parallel().mapToLong(i -> (long) i * i).sum());
        System.out.println("threads " + CompletableFuture.supplyAsync(() -> 20).thenCombine(CompletableFuture.supplyAsync(() -> 22), Integer::sum).get());
    }

    static void collections() {
        Map<Integer, byte[]> kept = new HashMap<>();
        long total = 0;
        for (int i = 0; i < 60_000; i++) {
            byte[] b = new byte[1024 + i % 2048];
            b[i % 1024] = (byte) i;
            kept.put(i % 3000, b);
            total += b.length;
        }
        long live = 0;
        for (byte[] b : kept.values()) live += b.length;
        System.out.println("gc " + total + " " + live);
        Node list = null;
        for (int i = 0; i < 300_000; i++) list = new Node(i, i % 1000 == 0 ? null : list);
        int n = 0;
        for (Node p = list; p != null; p = p.next) n++;
        System.out.println("gc " + n);
        try {
            List<long[]> hog = new ArrayList<>();
            for (;;) hog.add(new long[1 << 20]);
        } catch (OutOfMemoryError e) { System.out.println("gc " + e.getMessage()); }
        ByteBuffer direct = ByteBuffer.allocateDirect(1 << 20);
        direct.putLong(8, 42);
        System.out.println("gc " + direct.getLong(8));
    }

    static void files() throws Exception {
        Path dir = Files.createTempDirectory("skiff-java");
        Path file = dir.resolve("a.txt");
        Files.writeString(file, "line\n".repeat(1000));
        System.out.println("files " + Files.size(file) + " " + Files.readAllLines(file).size());
        try (RandomAccessFile f = new RandomAccessFile(file.toFile(), "rw"); FileChannel c = f.getChannel()) {
            MappedByteBuffer map = c.map(FileChannel.MapMode.READ_WRITE, 0, 8192);
            map.put(0, (byte) 'L');
            map.put(8191, (byte) '!');
            map.force();
            System.out.println("files " + f.length() + " " + (char) f.read());
            try (FileLock l = c.lock()) { System.out.println("files " + l.isValid()); }
            c.truncate(100);
        }
        System.out.println("files " + Files.size(file));
        Files.move(file, dir.resolve("b.txt"), StandardCopyOption.ATOMIC_MOVE);
        Files.createSymbolicLink(dir.resolve("l"), Path.of("b.txt"));
        Files.createDirectories(dir.resolve("x/y"));
        try (Stream<Path> walk = Files.walk(dir)) {
            System.out.println("files " + walk.map(p -> dir.relativize(p).toString()).sorted().collect(Collectors.joining(" ")));
        }
        try { Files.readString(dir.resolve("none")); } catch (NoSuchFileException e) { System.out.println("files none"); }
        try { new FileInputStream(dir.toFile()); } catch (FileNotFoundException e) { System.out.println("files " + e.getMessage().endsWith("(Is a directory)")); }
        try (Stream<Path> walk = Files.walk(dir)) { for (Path p : walk.sorted(Comparator.reverseOrder()).toList()) Files.delete(p); }
        System.out.println("files " + Files.exists(dir));
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (GZIPOutputStream z = new GZIPOutputStream(packed)) { z.write("abc".repeat(10000).getBytes()); }
        System.out.println("files " + new GZIPInputStream(new ByteArrayInputStream(packed.toByteArray())).readAllBytes().length);
        System.out.println("files " + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest("skiff".getBytes(StandardCharsets.UTF_8))));
    }

    static void pipes() throws Exception {
        Pipe pipe = Pipe.open();
        pipe.source().configureBlocking(false);
        try (Selector selector = Selector.open()) {
            pipe.source().register(selector, SelectionKey.OP_READ);
            System.out.println("pipes " + selector.selectNow());
            pipe.sink().write(ByteBuffer.wrap("ping".getBytes()));
            System.out.println("pipes " + selector.select(10_000));
            ByteBuffer got = ByteBuffer.allocate(16);
            pipe.source().read(got);
            System.out.println("pipes " + new String(got.array(), 0, got.position()));
        }
    }

    static void numbers() {
        double s = 0;
        for (int i = 1; i < 2_000_000; i++) s += Math.sin(i) / i;
        System.out.printf("numbers %.9f%n", s);
        System.out.println("numbers " + new java.math.BigInteger("3").pow(2000).mod(new java.math.BigInteger("1000000007")));
        System.out.println("numbers " + Stream.of("b", "a", "c").sorted().toList() + " " + "héllo".toUpperCase());
    }

    public static void main(String[] args) throws Exception {
        nulls();
        overflows();
        threads();
        collections();
        files();
        pipes();
        numbers();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("stdin " + in.readLine() + " " + in.readLine());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
        throw new IllegalStateException("uncaught");
    }
}

import java.util.stream.IntStream;

/** Primes by trial division on all CPUs, by a parallel stream. */
public class Compute {
    static final int FIRST = 1_000_000_000;

    static boolean prime(int n) {
        for (int d = 2; d * d <= n; d++) {
            if (n % d == 0) {
                return false;
            }
        }
        return n > 1;
    }

    // A parallel stream has few parts, whatever these cost: numbers of one size make them alike.
    static long all(int count) {
        return IntStream.range(FIRST, FIRST + count).parallel().filter(Compute::prime).count();
    }

    public static void main(String[] args) {
        boolean quick = args.length > 0 && args[0].equals("--quick");
        int count = quick ? 200 : 100000;
        all(count / 2); // lets the compiler see it
        for (int i = 0; i < (quick ? 1 : 5); i++) {
            long start = System.nanoTime();
            all(count);
            System.out.println("bench Java,primes 1 " + (System.nanoTime() - start) + " 0");
        }
        System.out.println("bench-end");
    }
}

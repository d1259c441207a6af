/*
 * The vDSO (vdso(7)): code that the kernel maps into every program, so that asking for the time needs no system call.
 *
 * One page of data, `struct vdso_data`, lies right below the ELF image; src/vdso.rs has the same layout and the
 * arithmetic in Rust. Where the data says that the TSC cannot be used, and for clocks that only the kernel
 * knows, each function makes the system call it stands for.
 */
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

struct timespec { s64 tv_sec, tv_nsec; };
struct timeval { s64 tv_sec, tv_usec; };
struct timezone { int tz_minuteswest, tz_dsttime; };

struct vdso_data {
	u32 sequence;		/* odd while the kernel writes */
	u32 mode;		/* 0: make the system call; 1: the TSC counts */
	u64 base_tsc;
	u64 base_ns;
	u64 mult;
	u64 realtime_ns;
	u32 coarse_resolution_ns;
	u32 getcpu;		/* 1: RDTSCP yields the CPU's number */
	u32 counts;		/* where, from GS base, the CPU's counts of answers are, in the order of `enum counted`; 0: nowhere */
	int tai;		/* seconds that atomic time is ahead of UTC */
	int tz_minuteswest, tz_dsttime;
};

/* The page below the ELF header (`__ehdr_start` is the linker's name for the image's first byte). */
__asm__(".hidden __ehdr_start");
static inline const volatile struct vdso_data *data(void)
{
	const volatile struct vdso_data *page;
	__asm__("lea __ehdr_start - 4096(%%rip), %0" : "=r"(page));
	return page;
}

enum { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW = 4, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
	CLOCK_BOOTTIME, CLOCK_TAI = 11 };
enum { NR_gettimeofday = 96, NR_time = 201, NR_clock_gettime = 228, NR_clock_getres = 229, NR_getcpu = 309 };

#define NSEC 1000000000UL
#define EXPORT(name) \
	extern __typeof__(__vdso_##name) name __attribute__((weak, alias("__vdso_" #name)))

enum counted { COUNTED_CLOCK_GETTIME, COUNTED_GETTIMEOFDAY, COUNTED_TIME, COUNTED_GETRES, COUNTED_GETCPU };

/* Counts an answer that needed no kernel. One instruction, so that neither an interrupt nor another CPU comes between. */
static inline void count(enum counted which)
{
	u64 counts = data()->counts;
	if (counts)
		__asm__ volatile("incq %%gs:%c1(%0)" : : "r"(counts), "i"(8 * which) : "memory", "cc");
}

static inline long syscall3(long nr, long a, long b, long c)
{
	long ret;
	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return ret;
}

/* The TSC, not read ahead of earlier loads (SDM volume 2B, RDTSC). */
static inline u64 rdtsc_ordered(void)
{
	u32 low, high;
	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/* What `now` adds to the time since boot: nothing, that since 1970 at boot, and what atomic time is ahead of UTC. */
enum { MONOTONIC, REAL, TAI };

/* Nanoseconds since boot, or since 1970. Answers 0 where the kernel must be asked. */
static inline int now(int real, u64 *ns)
{
	u32 sequence;
	do {
		while ((sequence = data()->sequence) & 1)
			__asm__ volatile("pause");
		if (data()->mode != 1)
			return 0;
		u64 tsc = rdtsc_ordered(), base = data()->base_tsc;
		u64 delta = tsc > base ? tsc - base : 0;
		*ns = data()->base_ns + (u64)((unsigned __int128)delta * data()->mult >> 48);
		if (real)
			*ns += data()->realtime_ns;
		if (real == TAI)
			*ns += (s64)data()->tai * (s64)NSEC;
		/* x86 does not reorder loads; only the compiler must be kept from it, which `volatile` does. */
	} while (data()->sequence != sequence);
	return 1;
}

int __vdso_clock_gettime(int clock, struct timespec *ts)
{
	u64 ns;
	int real;
	switch (clock) {
	case CLOCK_REALTIME: case CLOCK_REALTIME_COARSE:
		real = REAL;
		break;
	case CLOCK_TAI:
		real = TAI;
		break;
	case CLOCK_MONOTONIC: case CLOCK_MONOTONIC_COARSE: case CLOCK_MONOTONIC_RAW: case CLOCK_BOOTTIME:
		real = MONOTONIC;
		break;
	default:
		return syscall3(NR_clock_gettime, clock, (long)ts, 0);
	}
	if (!now(real, &ns))
		return syscall3(NR_clock_gettime, clock, (long)ts, 0);
	count(COUNTED_CLOCK_GETTIME);
	ts->tv_sec = ns / NSEC;
	ts->tv_nsec = ns % NSEC;
	return 0;
}
EXPORT(clock_gettime);

int __vdso_gettimeofday(struct timeval *tv, struct timezone *tz)
{
	u64 ns;
	if (!now(REAL, &ns))
		return syscall3(NR_gettimeofday, (long)tv, (long)tz, 0);
	count(COUNTED_GETTIMEOFDAY);
	if (tv) {
		tv->tv_sec = ns / NSEC;
		tv->tv_usec = ns % NSEC / 1000;
	}
	if (tz) {
		tz->tz_minuteswest = data()->tz_minuteswest;
		tz->tz_dsttime = data()->tz_dsttime;
	}
	return 0;
}
EXPORT(gettimeofday);

s64 __vdso_time(s64 *t)
{
	u64 ns;
	if (!now(REAL, &ns))
		return syscall3(NR_time, (long)t, 0, 0);
	count(COUNTED_TIME);
	s64 seconds = ns / NSEC;
	if (t)
		*t = seconds;
	return seconds;
}
EXPORT(time);

int __vdso_clock_getres(int clock, struct timespec *res)
{
	switch (clock) {
	case CLOCK_REALTIME: case CLOCK_TAI: case CLOCK_MONOTONIC: case CLOCK_MONOTONIC_RAW: case CLOCK_BOOTTIME:
		if (res)
			*res = (struct timespec){ 0, 1 };
		break;
	case CLOCK_REALTIME_COARSE: case CLOCK_MONOTONIC_COARSE:
		if (res)
			*res = (struct timespec){ 0, data()->coarse_resolution_ns };
		break;
	default:
		return syscall3(NR_clock_getres, clock, (long)res, 0);
	}
	count(COUNTED_GETRES);
	return 0;
}
EXPORT(clock_getres);

long __vdso_getcpu(u32 *cpu, u32 *node, void *unused)
{
	if (data()->getcpu != 1)
		return syscall3(NR_getcpu, (long)cpu, (long)node, (long)unused);
	count(COUNTED_GETCPU);
	u32 low, high, aux; /* IA32_TSC_AUX as Linux fills it: CPU in 12 bits, node above */
	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	if (cpu)
		*cpu = aux & 0xfff;
	if (node)
		*node = aux >> 12;
	return 0;
}
EXPORT(getcpu);

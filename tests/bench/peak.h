/* What this machine can do in registers alone. */
#ifndef TESTS_BENCH_PEAK_H
#define TESTS_BENCH_PEAK_H

enum { PEAK_THREADS = 2 };

/* The most f32 operations a second, in 10^9, in fused multiply-adds on so many threads: each
   has a processor of its own; the thread that calls is none of them. */
double peak_measure(int threads);

#endif

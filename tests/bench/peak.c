#include "tests/bench/peak.h"

#include "core/base/check.h"

#include <sched.h>
#include <threads.h>
#include <time.h>

enum { ROUNDS = 7, CHAINS = 12, LANES = 16 };
static const long REPEATS = 4000000;

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct share {
    int cpu;
    float sink;
};

/* Two threads that wake up on one processor may stay there for a while. */
static void stay(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* Independent chains, enough to hide the latency; built so that a * b + c is fused. */
static int compute(void *work)
{
    struct share *share = work;
    vector sum[CHAINS], all = {0};
    stay(share->cpu);
    volatile float start = 1e-6f;
    vector scale = 0.999999f - all, shift = start - all;
    for (int i = 0; i < CHAINS; i++)
        sum[i] = shift * (float)i;
    for (long k = 0; k < REPEATS; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = sum[i] * scale + shift;
    }
    for (int i = 0; i < CHAINS; i++)
        all += sum[i];
    *(volatile float *)&share->sink = all[0];
    return 0;
}

/* The fastest round: another program may have used the processor in the others. */
double peak_measure(int threads)
{
    check(threads >= 1 && threads <= PEAK_THREADS);
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        thrd_t ids[PEAK_THREADS];
        struct share shares[PEAK_THREADS];
        double start = seconds();
        for (int i = 0; i < threads; i++) {
            shares[i].cpu = i;
            check(thrd_create(&ids[i], compute, &shares[i]) == thrd_success);
        }
        for (int i = 0; i < threads; i++)
            thrd_join(ids[i], NULL);
        double rate = 2.0 * threads * (double)REPEATS * CHAINS * LANES / (seconds() - start);
        best = rate > best ? rate : best;
    }
    return best * 1e-9;
}

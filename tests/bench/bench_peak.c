/* The peak of this machine on one thread and on two. Other benches read the figures:
   "THREADS GFLOP/s". */
#include "tests/bench/peak.h"

#include <stdio.h>

int main(void)
{
    for (int threads = 1; threads <= PEAK_THREADS; threads++)
        printf("%d %.1f\n", threads, peak_measure(threads));
    return 0;
}

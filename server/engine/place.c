#include "server/engine/place.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PLACE_NICE = 10, /* a ninth of the loop's weight (measured: tests/bench/beside.py) */
    PLACE_SLICE_NS = 4 * 1000 * 1000, /* what a yield gives away, too: no more than needed */
};

/* struct sched_attr of <linux/sched/types.h>, which cannot be included beside <sched.h>. */
struct place_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* ns; runtime: the slice of a thread of SCHED_OTHER */
};

/* A thread that was given another policy keeps it. Never to a lower nice value than the process
   has: that needs a privilege. */
static void place_give_way(void)
{
    struct place_attributes attributes = {
        .size = sizeof attributes,
        .policy = SCHED_OTHER,
        .nice = getpriority(PRIO_PROCESS, 0),
        .runtime = PLACE_SLICE_NS,
    };
    if (attributes.nice < PLACE_NICE)
        attributes.nice = PLACE_NICE;
    if (sched_getscheduler(0) == SCHED_OTHER)
        syscall(SYS_sched_setattr, 0, &attributes, 0);
}

/* To the i-th processor that this process may use. */
static int place_pin(size_t i, size_t workers)
{
    cpu_set_t all, own;
    if (sched_getaffinity(0, sizeof all, &all) || (size_t)CPU_COUNT(&all) != workers)
        return PLACE_ANYWHERE;
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all) || i-- > 0)
        cpu++;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    return sched_setaffinity(0, sizeof own, &own) ? PLACE_ANYWHERE : (int)cpu;
}

int place_worker(size_t i, size_t workers, bool pin)
{
    char name[16];
    snprintf(name, sizeof name, "worker %zu", i);
    pthread_setname_np(pthread_self(), name);
    place_give_way();
    return pin ? place_pin(i, workers) : PLACE_ANYWHERE;
}

/* Where workers run, and whom they let go first. */
#ifndef SERVER_ENGINE_PLACE_H
#define SERVER_ENGINE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* Called by worker `i` of `workers` on its own thread; what the kernel refuses is left. The thread
   gets a name, less weight than the loop, and long slices where Linux knows them (6.12), so that a
   thread that wakes for a moment (the loop, a client on the same machine) goes first and need not
   wait for the next tick of the clock. With `pin`, and as many workers as processors, each keeps
   one of its own: two that are called at once would else share the caller's, for up to 0.1 s
   (measured). Returns the processor, or PLACE_ANYWHERE. */
enum { PLACE_ANYWHERE = -1 };
int place_worker(size_t i, size_t workers, bool pin);

/* Lets a thread that spins give way to its twin on the same core. */
static inline void place_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif

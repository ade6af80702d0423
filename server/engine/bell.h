/* How other threads call the loop: like uv_async_t, but a loop that wakes in the middle of a ring
   does not wait for the ringing thread (libuv spins, then yields its processor, which costs the
   loop a whole time slice where every processor computes). */
#ifndef SERVER_ENGINE_BELL_H
#define SERVER_ENGINE_BELL_H

#include <uv.h>

struct bell;

/* answer is called on the loop, once or more often for any number of rings, after the last of
   them. 0, ERR_NOMEM or ERR_INTERNAL. Thread: loop. */
int bell_open(struct bell **out, uv_loop_t *loop, void (*answer)(void *context), void *context);
/* Nobody rings any more; it is freed when the loop has let go of it. Thread: loop. */
void bell_close(struct bell *bell);
/* Thread: any; best without a lock that the answer takes. */
void bell_ring(struct bell *bell);

#endif

/* Idle workers that compute a share of the layers of one worker's few rows (simd.h: simd_team). The
   parts of a layer are handed out one by one to whoever looks, so that only a helper that has taken
   one is waited for; which thread computes a part changes no bit. */
#ifndef SERVER_ENGINE_TEAM_H
#define SERVER_ENGINE_TEAM_H

#include "core/linalg/simd.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct team {
    struct simd_team simd; /* for the leader's tiles; members: an upper bound */
    _Atomic uint64_t turn; /* count of shares << 32 | parts << 16 | parts that were handed out */
    atomic_size_t done;    /* parts of this share */
    atomic_size_t helpers; /* that have joined */
    atomic_bool open;
    void (*part)(void *work, size_t i, size_t members);
    void *work;
};

/* members: threads that may take part, the leader included, 1 to 65535. */
void team_init(struct team *team, size_t members);
/* Thread: the leader. From open to close helpers are welcome. */
void team_open(struct team *team);
void team_close(struct team *team);
/* Thread: a helper. Takes parts until the team is closed or *events is not `seen` any more. False
   at once when it has all the members it wants. The team outlives its helpers. */
bool team_help(struct team *team, const atomic_uint *events, unsigned seen);

#endif

#include "server/engine/team.h"

#include "core/base/check.h"
#include "server/engine/place.h"

#include <sched.h>

enum {
    TEAM_PARTS_MAX = UINT16_MAX,
    TEAM_PATIENCE = 4096, /* looks in vain, before the processor is offered to others */
};

/* Computes the next part of the share, if there is one. */
static bool team_take(struct team *team)
{
    uint64_t turn = atomic_load_explicit(&team->turn, memory_order_acquire);
    size_t next, parts;
    do {
        next = turn & TEAM_PARTS_MAX;
        parts = turn >> 16 & TEAM_PARTS_MAX;
        if (next == parts)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&team->turn, &turn, turn + 1,
                                                    memory_order_acq_rel, memory_order_acquire));
    /* The share waits for this part: part and work stay what they are. */
    team->part(team->work, next, parts);
    atomic_fetch_add_explicit(&team->done, 1, memory_order_release);
    return true;
}

static void team_look(size_t *looks)
{
    place_relax();
    if (++*looks % TEAM_PATIENCE == 0)
        sched_yield();
}

static void team_wait(const struct team *team, size_t parts)
{
    size_t looks = 0;
    while (atomic_load_explicit(&team->done, memory_order_acquire) < parts)
        team_look(&looks);
}

static void team_share(struct simd_team *simd, void (*part)(void *work, size_t i, size_t members),
                       void *work)
{
    struct team *team = (struct team *)simd;
    size_t parts = 1 + atomic_load_explicit(&team->helpers, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&team->turn, memory_order_relaxed) >> 32;
    parts = parts < simd->members ? parts : simd->members;
    if (parts == 1) {
        part(work, 0, 1);
        return;
    }
    team->part = part;
    team->work = work;
    atomic_store_explicit(&team->done, 0, memory_order_relaxed);
    atomic_store_explicit(&team->turn, (count + 1) << 32 | parts << 16, memory_order_release);
    while (team_take(team))
        ;
    team_wait(team, parts);
}

void team_init(struct team *team, size_t members)
{
    check(members > 0 && members <= TEAM_PARTS_MAX);
    team->simd = (struct simd_team){.members = members, .share = team_share};
    atomic_init(&team->turn, 0);
    atomic_init(&team->done, 0);
    atomic_init(&team->helpers, 0);
    atomic_init(&team->open, false);
}

void team_open(struct team *team)
{
    atomic_store(&team->open, true);
}

void team_close(struct team *team)
{
    atomic_store(&team->open, false);
}

bool team_help(struct team *team, const atomic_uint *events, unsigned seen)
{
    size_t looks = 0;
    bool wanted = atomic_fetch_add(&team->helpers, 1) + 1 < team->simd.members;
    while (wanted && atomic_load_explicit(&team->open, memory_order_relaxed) &&
           atomic_load_explicit(events, memory_order_relaxed) == seen) {
        if (team_take(team))
            looks = 0;
        else
            team_look(&looks);
    }
    atomic_fetch_sub(&team->helpers, 1);
    return wanted;
}

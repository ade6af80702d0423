/* A tile at work for one queue: takes claimed rows in, steps, lets out what has arrived. Its
   worker's thread only; no lock. */
#ifndef SERVER_ENGINE_SEAT_H
#define SERVER_ENGINE_SEAT_H

#include "server/engine/run.h"

enum { SEAT_LANES = 64 }; /* at most */

/* A row at its frame; one that failed or was cancelled, too. */
struct arrival {
    struct unit *unit;
    size_t row;         /* of the unit */
    size_t evaluations; /* taken in this tile */
    enum row_status status;
    struct solve solve; /* under an embedded pair: what the row took in all */
};

struct seat {
    struct sched_key key;    /* of its queue; model NULL: vacant */
    struct model_ref *model; /* owned reference */
    struct tile tile;
    float *row;              /* [dim] */
    float source_scale;      /* of the model's path */
    uint64_t slice_ns;       /* when its slice of the queue began */
    size_t steps;            /* of the tile until a lane arrives */
    struct sched_claim claims[SEAT_LANES]; /* a claim holds at least one row */
    size_t claim_count;
    struct arrival arrivals[2 * SEAT_LANES]; /* of the tile, and new rows already there */
    size_t arrival_count;
};

/* A vacant seat becomes that of a queue; takes over a reference to its model. 0 or ERR_NOMEM (it
   is vacant still, and the reference the caller's). The team stays borrowed. */
int seat_take(struct seat *seat, const struct sched_key *key, struct simd_team *team);
/* No lane may be in use. */
void seat_leave(struct seat *seat);
static inline bool seat_taken(const struct seat *seat)
{
    return seat->key.model != NULL;
}

/* One past the last lane in use, with the claimed rows. */
size_t seat_lanes(const struct seat *seat);
/* Lets the claimed rows into free lanes. */
void seat_load(struct seat *seat);
/* One step of all lanes. */
void seat_step(struct seat *seat);
/* Whether seat_collect may find something. */
bool seat_due(const struct seat *seat);
/* Lets out rows that are at their frame, have failed, or whose run was cancelled. */
void seat_collect(struct seat *seat);

#endif

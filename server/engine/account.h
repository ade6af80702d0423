/* What the engine has taken on, and how fast it works that off: pure arithmetic. The caller holds a
   lock around every call. */
#ifndef SERVER_ENGINE_ACCOUNT_H
#define SERVER_ENGINE_ACCOUNT_H

#include "core/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* A run counts for at most the ACCOUNT_SHARE-th part of the cost that is allowed: runs take turns,
   so that a giant one need not keep others out. A run that its reader holds up keeps nobody
   waiting: it counts for no work, and then for as much as has been done since. */
enum { ACCOUNT_SHARE = 8 };

/* What a run counts for. */
struct charge {
    double work;    /* multiply-adds that are still to be done, about */
    uint64_t bytes; /* of memory, at most */
    double pace;    /* done since its reader last held it up; set by account_admit, as all below */
    double waiting; /* the part of work that waits for workers */
    double cost;    /* the part of that which counts */
};

struct account {
    double cost_limit;
    uint64_t bytes_limit;
    size_t runs_limit;
    size_t workers;
    double held_waiting;    /* of all runs: multiply-adds, */
    double held_cost;       /* those that count, */
    uint64_t held_bytes;    /* memory */
    size_t runs;
    double done_cost;       /* lately, by workers */
    double done_seconds;    /* of theirs, for it */
    unsigned retry_seconds; /* what was refused last had better wait so long: 1 to 60 */
};

/* Takes a charge on. 0, or ERR_OVERLOADED (sets retry_seconds). What comes while there is no run
   is always taken. */
int account_admit(struct account *account, struct charge *charge, struct err *err);
/* So much of a charge's work is left. */
void account_ease(struct account *account, struct charge *charge, double work_left);
/* Its rows wait for its reader and not for workers. */
void account_park(struct account *account, struct charge *charge);
/* A run ends with what is left of its charge. */
void account_leave(struct account *account, const struct charge *charge);
/* A worker has done so much, or spent so much time; the rate forgets what is long ago. */
void account_measure(struct account *account, double cost, double seconds);
/* Multiply-adds a second of all workers; 0: not known yet. */
double account_rate(const struct account *account);

#endif

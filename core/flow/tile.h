/* Many trajectories in one matrix product: the integrator whose unit is the row. Every lane has its
   own time grid and position; one tile_step advances all of them by one step: of their own grids,
   or, under an embedded pair, of the length that their own error allows (adaptive.h). A lane's bits
   depend on that lane alone (simd.h). One thread owns a tile. */
#ifndef CORE_FLOW_TILE_H
#define CORE_FLOW_TILE_H

#include "core/base/arena.h"
#include "core/flow/control.h"
#include "core/flow/grid.h"
#include "core/flow/tableau.h"
#include "core/linalg/simd.h"

#include <stdbool.h>
#include <stddef.h>

/* A velocity field over feature-major tiles; borrowed by the tile. */
struct field {
    size_t dim;
    /* v = u(x, t): x, v: [dim][stride]; v must have room for dim rounded up to 4 rows; t: [stride];
       scratch: [scratch(self, stride)]. */
    void (*velocity)(const void *self, const struct simd_kernels *kernels, float *v, const float *x,
                     const float *t, float *scratch, struct simd_shape shape);
    size_t (*scratch)(const void *self, size_t stride);
    const void *self;
};

/* How a row fares. One that is not ok has failed and stands still. */
enum row_status {
    ROW_OK,
    ROW_NON_FINITE,      /* its state or the field left the finite numbers */
    ROW_MAX_EVALUATIONS, /* another step would pass grid->max_evaluations */
    ROW_STEP_UNDERFLOW,  /* its error allows no step of LIMIT_SHORTEST_STEP */
};
/* "ok", "non_finite", ..: as answers state it. */
const char *row_status_name(enum row_status status);

/* What a row under an embedded pair is at. */
enum solve_phase {
    SOLVE_NEW,     /* at t; neither slope nor step are known */
    SOLVE_READY,   /* at t, slope in k[0], next step in control */
    SOLVE_TRIAL,   /* within tile_step */
    SOLVE_STEPPED, /* from t (x, k) to `to` (stage): all that lies between can be had */
};

/* Of a row under an embedded pair, since its start. */
struct solve {
    enum solve_phase phase;
    double t; /* where x stands */
    double to;
    struct control control;
    size_t evaluations;
    size_t accepted, rejected; /* steps */
};

struct lane {
    const struct grid *grid; /* NULL: the lane is free */
    size_t step;             /* it stands at grid->times[step]; under an embedded pair: has passed
                                it */
    enum row_status status;
    void *owner;        /* the caller's */
    size_t row;         /* the caller's */
    size_t evaluations; /* since it entered this tile */
    struct solve solve; /* under an embedded pair */
};

struct tile {
    struct field field;
    const struct tableau *tableau;
    const struct simd_kernels *kernels;
    struct simd_team *team;   /* borrowed, set by the owner; NULL: this thread computes alone */
    size_t stride;            /* lanes, a multiple of SIMD_LANES */
    size_t active;            /* lanes in use */
    size_t end;               /* 1 + the last lane in use */
    struct lane *lanes;       /* [stride] */
    float *x;                 /* [dim][stride] the states */
    float *stage;             /* [dim][stride] */
    float *k[TABLEAU_STAGES]; /* [dim rounded up to 4][stride] */
    float *h;                 /* [stride] step of each lane; 0 where it does not move */
    float *t;                 /* [stride] time of the stage */
    float *scratch;
    /* Under an embedded pair, [stride] each. */
    float *rtol, *atol;
    float *error, *sum; /* of one dimension; over the dimensions */
    float *keep;        /* 1: the lane's last step is kept, it goes on from its end */
    struct arena arena; /* owns all arrays above */
};

/* 0 or ERR_NOMEM. Nothing is allocated after this. */
int tile_init(struct tile *tile, struct field field, const struct tableau *tableau,
              const struct simd_kernels *kernels, size_t stride);
void tile_release(struct tile *tile);

/* Takes the lowest free lane for a row that stands at grid->times[step]; x: [dim], copied. One that
   is not finite has failed at once. Returns the lane, or stride when the tile is full. The grid
   stays borrowed until tile_drop. */
size_t tile_add(struct tile *tile, const float *x, const struct grid *grid, size_t step,
                void *owner, size_t row);
/* Copies a lane's state at grid->times[lane->step] to out: [dim]. */
void tile_get(const struct tile *tile, size_t lane, float *out);
/* The same at an earlier time of the grid that the lane's last step has passed. Under an embedded
   pair its dense output; the state at t1 is the end of the last step itself. A row that has failed
   gives the last state it had. */
void tile_get_at(const struct tile *tile, size_t lane, size_t step, float *out);
/* Frees a lane. */
void tile_drop(struct tile *tile, size_t lane);

/* Between two frames a row may leave its tile and enter another: all that it needs to go on with
   the same bits. The number of floats: dim, and more under an embedded pair. */
size_t tile_state_floats(size_t dim, const struct tableau *tableau);
/* state: [tile_state_floats]. */
void tile_save(const struct tile *tile, size_t lane, float *state);
/* Like tile_add, for a row that was saved at grid->times[step]; it may have passed more of them. */
size_t tile_restore(struct tile *tile, const float *state, const struct grid *grid, size_t step,
                    void *owner, size_t row);

/* Advances every active lane by one step and then checks that it is finite. Lanes that stand at the
   end of their grid, or have failed, stay. The field is never evaluated outside a lane's grid.
   Costs tableau->stages evaluations of every lane that moves; under an embedded pair one less, and
   two for a lane that is new, which then begins with the next tile_step. There a trial that is
   rejected, also for numbers that are not finite, leaves the lane where it was, with a shorter step
   to try. */
void tile_step(struct tile *tile);

#endif

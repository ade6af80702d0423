/* Many trajectories in one matrix product: the integrator whose unit is the row. Every lane has its
   own time grid and position; one tile_step advances all of them by one step of their own grids. A
   lane's bits depend on that lane alone (simd.h). One thread owns a tile. */
#ifndef CORE_FLOW_TILE_H
#define CORE_FLOW_TILE_H

#include "core/base/arena.h"
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

struct lane {
    const struct grid *grid; /* NULL: the lane is free */
    size_t step;             /* it stands at grid->times[step] */
    bool finite;             /* false once its state left the finite numbers; it then stands
                                still */
    void *owner;             /* the caller's */
    size_t row;              /* the caller's */
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
    struct arena arena; /* owns all arrays above */
};

/* 0 or ERR_NOMEM. Nothing is allocated after this. */
int tile_init(struct tile *tile, struct field field, const struct tableau *tableau,
              const struct simd_kernels *kernels, size_t stride);
void tile_release(struct tile *tile);

/* Takes the lowest free lane for a row that stands at grid->times[step]; x: [dim], copied.
   Returns the lane, or stride when the tile is full. The grid stays borrowed until tile_drop. */
size_t tile_add(struct tile *tile, const float *x, const struct grid *grid, size_t step,
                void *owner, size_t row);
/* Copies a lane's state to out: [dim]. */
void tile_get(const struct tile *tile, size_t lane, float *out);
/* Frees a lane. */
void tile_drop(struct tile *tile, size_t lane);

/* Advances every active lane by one step and then checks that it is finite. Lanes that stand at the
   end of their grid, or are not finite, stay. The field is never evaluated outside a lane's grid.
   Costs tableau->stages evaluations of every lane that moves. */
void tile_step(struct tile *tile);

#endif

/* The kernels that everything is computed with, tested on known numbers before they are used. */
#ifndef SERVER_KERNELS_H
#define SERVER_KERNELS_H

#include "core/linalg/simd.h"
#include "server/app.h"

/* Gives the app the kernels of each precision: `f32` and those that go with it, written to
   `halves`. Where BLAS or `f32` fail their self-test the app has none, and app->fault says why: the
   daemon goes on, but it is not ready and computes nothing. halves: PRECISION_COUNT, they and f32
   outlive the app. 0, or ERR_NOMEM. Call once before any other thread computes. */
int kernels_start(struct app *app, struct simd_kernels *halves, const struct simd_kernels *f32,
                  struct err *err);

#endif

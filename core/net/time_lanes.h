/* The time input of many lanes at once. An embedding costs as much as a small layer, and the lanes
   of a tile share few times: each distinct time is embedded once. */
#ifndef CORE_NET_TIME_LANES_H
#define CORE_NET_TIME_LANES_H

#include "core/linalg/simd.h"
#include "core/net/spec.h"

#include <stdint.h>

enum { TIME_LANES = 256 }; /* lanes among which equal times are found */

/* source[r] is the first lane that has the time of lane r, to the bit; r itself where that is the
   first one. lanes <= TIME_LANES. Returns how many times are distinct. */
size_t time_lanes_sources(uint16_t *source, const float *t, size_t lanes);

/* features: [time_spec_features][stride], t: [lanes]; the first shape.lanes lanes are written. */
void time_lanes_embed(float *features, const struct time_spec *time, const double *turns,
                      const float *t, struct simd_shape shape);

#endif

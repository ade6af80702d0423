/* How time enters a network <-> JSON: the same object in checkpoints and in POST /train.
   {"input": "first" | "last", "scale": 1}
   {"input": "fourier", "frequencies": [0.5, 1] (turns per unit of time) or n (for 0.5, 1, .. n/2),
    "order": "cos_first" | "sin_first", "position": "first" | "last", "scale": 1}
   {"input": "sinusoidal", "dimension": 128, "max_period": 10000, "order", "position", "scale":
   1000} Only "scale" has a default, 1. */
#ifndef PROTO_TIME_CODEC_H
#define PROTO_TIME_CODEC_H

#include "core/net/spec.h"
#include "proto/json.h"
#include "proto/json_write.h"

/* 0 or ERR_INVALID with the field. *out is only changed on success. */
int time_codec_read(struct time_spec *out, struct json value, struct err *err);
void time_codec_write(struct json_writer *w, const char *key, const struct time_spec *time);

/* An activation by name; the error lists those that exist. */
int time_codec_activation(enum activation *out, struct json value, struct err *err);

#endif

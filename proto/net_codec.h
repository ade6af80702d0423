/* What checkpoints and POST /train say alike about a network <-> JSON. */
#ifndef PROTO_NET_CODEC_H
#define PROTO_NET_CODEC_H

#include "core/linalg/precision.h"
#include "core/net/spec.h"
#include "proto/json.h"
#include "proto/json_write.h"

/* How time enters:
   {"input": "first" | "last", "scale": 1}
   {"input": "fourier", "frequencies": [0.5, 1] (turns per unit of time) or n (for 0.5, 1, .. n/2),
    "order": "cos_first" | "sin_first", "position": "first" | "last", "scale": 1}
   {"input": "sinusoidal", "dimension": 128, "max_period": 10000, "order", "position",
    "scale": 1000}
   Only "scale" has a default, 1.
   0 or ERR_INVALID with the field. *out is only changed on success. */
int net_codec_read_time(struct time_spec *out, struct json value, struct err *err);
void net_codec_write_time(struct json_writer *w, const char *key, const struct time_spec *time);

/* An activation by name; the error lists those that exist. */
int net_codec_read_activation(enum activation *out, struct json value, struct err *err);

/* A precision by name, where it is given; the error lists those that exist. *given tells. */
int net_codec_read_precision(enum precision *out, bool *given, struct json value, struct err *err);

/* A field that may be left out and knows one word in this version. */
int net_codec_read_word(struct json value, const char *word, struct err *err);

#endif

/* A probability path <-> JSON, as it stands in checkpoints:
   {"kind": "linear" | "cosine" | "linear_vp"}
   {"kind": "ot", "sigma_min": 0.001}
   {"kind": "polynomial", "n": 2}
   {"kind": "vp", "beta_min": 0.1, "beta_max": 20}
   {"kind": "ve", "sigma_min": 0.01, "sigma_max": 50}
   {"kind": "ddpm", "betas": [..]}
   {"kind": "ddpm", "schedule": "linear" | "scaled_linear", "steps": 1000, "beta_min": 0.0001,
    "beta_max": 0.02}
   {"kind": "ddpm", "schedule": "cosine", "steps": 1000}
   {"kind": "table", "t": [0, .., 1], "alpha": [..], "beta": [..]}
   No number has a default. */
#ifndef PROTO_PATH_CODEC_H
#define PROTO_PATH_CODEC_H

#include "core/flow/path.h"
#include "proto/json.h"
#include "proto/json_write.h"

/* 0, ERR_INVALID with the field, ERR_NOMEM. *out is only changed on success, and then owned. */
int path_codec_read(struct path *out, struct json value, struct err *err);
void path_codec_write(struct json_writer *w, const char *key, const struct path *path);

#endif

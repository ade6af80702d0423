/* The `advect` metadata of a checkpoint <-> struct: section "Checkpoints" of the README. */
#ifndef PROTO_MODEL_CODEC_H
#define PROTO_MODEL_CODEC_H

#include "core/base/buf.h"
#include "core/flow/model.h"
#include "core/linalg/precision.h"
#include "core/table/schema.h"
#include "proto/json.h"

struct model_config {
    struct model_spec spec; /* dim and hidden are left 0: the weights say them; owned */
    struct schema schema;   /* count 0 where the checkpoint has no columns; owned */
    char weights[LIMIT_TENSOR_NAME + 1]; /* the tensors below that name are meant; "": all */
    bool ema;
    enum precision precision; /* of requests that name none, where the machine has it */
    char *training; /* JSON text of the training record, or NULL; owned */
};

/* Strict: unknown fields, and missing "activation" or "time", are errors that name the field
   ("/time/input"). Defaults: network "mlp", and those of model_spec_init. */
int model_config_decode(struct model_config *out, const char *text, size_t size, struct err *err);
void model_config_encode(struct buf *out, const struct model_config *config);
void model_config_release(struct model_config *config);

/* Whole checkpoint file -> model: safetensors, config, weights, every check. `sidecar` is the JSON
   that came beside the file, or NULL; giving both it and metadata is an error unless they are equal
   in bytes. *config is filled with a schema of the right width (plain where none was given). */
int model_load(struct model *model, struct model_config *config, const unsigned char *bytes,
               size_t size, const char *sidecar, struct err *err);

/* A PyTorch file (proto/torch_file.h) -> the safetensors file that takes its place: the chosen
   tensors as they are, and the config, which comes beside it, as their metadata. The weights are
   checked by model_load. ERR_INVALID also for a missing or wrong config. */
int model_convert(struct buf *out, const unsigned char *bytes, size_t size, const char *sidecar,
                  struct err *err);

/* Schema <-> JSON, as it stands in checkpoints, in GET /datasets/{name} and in job files. */
void schema_write(struct buf *out, const struct schema *schema);
int schema_read(struct schema *out, struct json value, struct err *err);

#endif

/* Request bodies -> specs. Every error names its field by JSON pointer; unknown fields are refused
   by name. */
#ifndef PROTO_REQUEST_CODEC_H
#define PROTO_REQUEST_CODEC_H

#include "core/base/buf.h"
#include "core/flow/prediction.h"
#include "core/flow/spec.h"
#include "core/table/encode.h"
#include "core/train/spec.h"

/* POST /sample and POST /trajectory: {"model", "count": 1, "seed", "solver": "euler" or {"method",
   "steps"} or {"method": "dopri5", "rtol": 1e-5, "atol": 1e-5, "max_evaluations": 10000},
   "precision": the model's, "x0": [[..], ..], "t0": 0, "t1": 1, "timeout_ms"}. x0 alone says the
   count. */
struct sample_request {
    char model[LIMIT_NAME + 1];
    struct sample_spec spec;
    uint64_t timeout_ms; /* the answer must be computed by then; 0: any time */
};
/* trajectory: also takes "times" or "frames" (default: every step, at most LIMIT_FRAMES states; 11
   evenly spaced times where the method chooses its steps).
   What needs the model's dimension or the grid is left to sample_spec_check. */
int sample_request_decode(struct sample_request *out, const char *body, size_t size,
                          bool trajectory, struct err *err);
void sample_request_release(struct sample_request *request);

/* POST /velocity: {"model", "points": [[..]], "t": number or one per point, "outputs":
   ["velocity"], "precision": the model's}. */
struct velocity_request {
    char model[LIMIT_NAME + 1];
    float *points; /* [count, dim] owned */
    size_t count, dim;
    float *t;      /* [count] owned */
    bool outputs[PREDICTION_COUNT];
    enum precision precision;
    bool has_precision; /* false: the model's own */
};
int velocity_request_decode(struct velocity_request *out, const char *body, size_t size,
                            struct err *err);
void velocity_request_release(struct velocity_request *request);

/* POST /train: {"dataset", "model", "network": {"kind": "mlp", "hidden": [..], "activation",
   "time"}, "path": "linear", "steps", "batch_size", "optimizer": {"learning_rate", "beta1",
   "beta2", "epsilon", "weight_decay", "clip", "warmup", "final_ratio"}, "ema": {"decay"} or
   false, "validation": {"fraction", "every"}, "seed", "missing": "drop" or "impute", "columns"}.
   Only dataset is required. */
struct column_override {
    char name[LIMIT_COLUMN_NAME + 1];
    enum column_kind kind;
};
struct train_request {
    char dataset[LIMIT_NAME + 1];
    char model[LIMIT_NAME + 1]; /* default: the dataset's name */
    struct train_spec spec;
    bool has_seed; /* false: the daemon draws one and sets both */
    enum missing_policy missing;
    struct column_override *columns; /* [column_count] owned: {"columns": {"Year":
                                        "categorical"}} */
    size_t column_count;
};
int train_request_decode(struct train_request *out, const char *body, size_t size, struct err *err);
void train_request_release(struct train_request *request);
/* The request with every default spelled out: what GET /jobs/{id} shows and what the job directory
   keeps; train_request_decode reads it back to an equal struct. */
void train_request_encode(struct buf *out, const struct train_request *request);

#endif

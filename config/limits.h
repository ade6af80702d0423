/* Every compile-time ceiling, with its reason. Constants only: any floor may include this file. */
#ifndef CONFIG_LIMITS_H
#define CONFIG_LIMITS_H

/* Names of models and datasets: [a-z0-9][a-z0-9_-]{0,63}. */
#define LIMIT_NAME 64

/* A JSON tree costs up to 78 times its text: a control body stays below some 5 MB in memory. */
#define LIMIT_JSON_BYTES (64u * 1024)
/* Requests that carry points or x0 inline: 1 MiB, about 78 MB at the very worst. */
#define LIMIT_JSON_ROWS_BYTES (1024u * 1024)
/* Nobody nests deeper; the parser recurses. */
#define LIMIT_JSON_DEPTH 32

/* A checkpoint's header; its worst JSON costs 78 MB. */
#define LIMIT_HEADER_BYTES (1024u * 1024)
#define LIMIT_TENSORS 4096
#define LIMIT_TENSOR_NAME 256
#define LIMIT_TENSOR_RANK 8
/* 1 GiB: 268 million parameters in float32, more than an MLP on a CPU can use. */
#define LIMIT_CHECKPOINT_BYTES (1024ull * 1024 * 1024)
/* A config that comes beside a checkpoint, as a header: it is given back as one, too. */
#define LIMIT_SIDECAR_BYTES (16u * 1024)
#define LIMIT_PARAMETERS (256ull * 1024 * 1024)
/* |w| above this is a broken file, not a trained network. */
#define LIMIT_WEIGHT 1e6

/* PyTorch files. Entries of the zip archive: the tensors, their averages, two moments of each. */
#define LIMIT_ARCHIVE_ENTRIES (4 * LIMIT_TENSORS + 64)
/* Its data.pkl: that many tensors take about 2 MB. */
#define LIMIT_PICKLE_BYTES (16u * 1024 * 1024)
/* Values in it, and links between them: 64 MB at the worst. */
#define LIMIT_PICKLE_VALUES (1024u * 1024)
/* Links that may be followed: a small file can refer to its own parts over and over. */
#define LIMIT_PICKLE_STEPS (16u * 1024 * 1024)
/* Modules within modules; the walk recurses. */
#define LIMIT_PICKLE_DEPTH 64

#define LIMIT_LAYERS 32
#define LIMIT_LAYER_WIDTH 16384
#define LIMIT_TIME_FREQUENCIES 512

/* Points of a path given as a table, steps of a DDPM: the longest published one has 4,000. */
#define LIMIT_PATH_POINTS 4096

/* Data dimension of a model or an encoded table. */
#define LIMIT_DIM 4096
/* Rows of one request; a table of a billion rows is a file, not an answer. */
#define LIMIT_COUNT 100000000ull
/* Fixed steps of one solve: past 10,000 float32 rounding is larger than the step error. */
#define LIMIT_STEPS 10000
/* Steps shorter than this are below the resolution of a float32 time. */
#define LIMIT_SHORTEST_STEP 1e-7
/* Field evaluations of one row under an adaptive method: as many as the dearest fixed one takes. */
#define LIMIT_EVALUATIONS (4 * LIMIT_STEPS)
/* Tolerances, from the rounding of float32 and what torchdiffeq asks for by default. */
#define LIMIT_RTOL_MIN 1e-7
#define LIMIT_ATOL_MIN 1e-9
#define LIMIT_FRAMES 1000
/* Milliseconds that a request may allow itself: a day, longer than any answer should take. */
#define LIMIT_TIMEOUT_MS 86400000
/* Threads that integrate: more processors than most machines have. */
#define LIMIT_WORKERS 256
/* Multiply-adds that may wait before requests get 429: some 20 s of two cores at 100 GFLOP/s
   each. */
#define LIMIT_COST 2e12

/* Rows, states and text that sampling requests may hold until requests get 429: 1 GiB. */
#define LIMIT_RUN_BYTES (1024ull * 1024 * 1024)

/* Datasets. A line is held in memory while it is read. */
#define LIMIT_DATASET_BYTES (2048ull * 1024 * 1024)
#define LIMIT_CSV_LINE (1024u * 1024)
#define LIMIT_CSV_FIELD 4096
#define LIMIT_CSV_COLUMNS 1024
#define LIMIT_COLUMN_NAME 256
/* More levels than this is an identifier or free text, not a category. */
#define LIMIT_LEVELS 512
/* Bytes of one level; longer is free text. */
#define LIMIT_LEVEL 256
#define LIMIT_NPY_HEADER 10000

/* Training. */
#define LIMIT_TRAIN_STEPS 10000000ull
#define LIMIT_BATCH 65536
#define LIMIT_JOBS 10000
/* Encoded rows are held in memory while they are trained on: 2 GiB. */
#define LIMIT_TRAIN_FLOATS (512ull * 1024 * 1024)

#endif

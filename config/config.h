/* The daemon's settings: flags over environment (ADVECTD_*) over defaults. Seen by main.c alone. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "core/base/err.h"

#include <stdint.h>

enum config_action { CONFIG_RUN, CONFIG_VERSION, CONFIG_HELP, CONFIG_HEALTHCHECK };

/* Texts are borrowed from argv, the environment, or static. */
struct config {
    enum config_action action;
    const char *listen; /* ADDRESS:PORT */
    const char *data_dir;
    const char *kernels; /* name of a vector kernel, or "auto" */
    const char *pin;     /* "auto" or "never" */
    const char *log_level;
    uint64_t workers;     /* 0: one a processor */
    uint64_t connections; /* most at a time */
    uint64_t grace_s;     /* after SIGTERM, for what runs to end */
};

/* environment: as getenv. 0, or ERR_INVALID naming the flag or variable. */
int config_read(struct config *out, int argc, char **argv, char *(*environment)(const char *name),
                struct err *err);
/* The text of --help; static. */
const char *config_help(void);

#endif

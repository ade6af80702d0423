/* What the trainer tells the daemon: events as NDJSON on a descriptor. */
#ifndef SERVER_TRAIN_TRAIN_REPORT_H
#define SERVER_TRAIN_TRAIN_REPORT_H

#include "core/train/trainer.h"
#include "server/train/train_data.h"

/* A mean of losses, and the pace of the steps, between two progress events. */
struct train_tally {
    double loss_sum;
    uint64_t steps;
    double since;      /* seconds on the monotonic clock when it began */
    double loss;       /* mean of the last full tally; NAN before it */
    double validation; /* last validation loss; NAN before it */
    double pace;       /* steps a second, smoothed over progress events; 0 before it */
};

void train_tally_start(struct train_tally *tally, double now);
/* Closes the running mean and begins the next. */
void train_tally_close(struct train_tally *tally, double now);

/* All: 0, or ERR_IO when nobody reads any more. */
int train_report_start(int fd, const struct trainer *trainer, const struct train_data *data);
int train_report_progress(int fd, const struct trainer *trainer, const struct train_tally *tally);
int train_report_checkpoint(int fd, uint64_t step);
int train_report_done(int fd, const struct trainer *trainer, const struct train_tally *tally,
                      double seconds);
/* {"event": "error", "step", "problem": {..}}, the problem as RFC 9457 has it. */
int train_report_error(int fd, uint64_t step, const struct err *problem);

#endif

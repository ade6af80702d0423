#include "server/train/train_report.h"

#include "proto/json_write.h"
#include "proto/problem.h"
#include "server/train/job_dir.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

/* Weight of the newest measure in the smoothed pace. */
static const double pace_weight = 0.3;

void train_tally_start(struct train_tally *tally, double now)
{
    *tally = (struct train_tally){.since = now, .loss = NAN, .validation = NAN};
}

void train_tally_close(struct train_tally *tally, double now)
{
    if (tally->steps == 0)
        return;
    tally->loss = tally->loss_sum / (double)tally->steps;
    if (now > tally->since) {
        double pace = (double)tally->steps / (now - tally->since);
        tally->pace = tally->pace > 0 ? tally->pace + pace_weight * (pace - tally->pace) : pace;
    }
    tally->loss_sum = 0;
    tally->steps = 0;
    tally->since = now;
}

static struct json_writer open_event(struct buf *line, const char *event)
{
    buf_init(line, JOB_DIR_LINE);
    struct json_writer w = json_writer(line);
    json_open_object(&w, NULL);
    json_write_string(&w, "event", event);
    return w;
}

static int send_event(int fd, struct json_writer *w)
{
    json_close_object(w);
    struct buf *line = w->out;
    buf_char(line, '\n');
    int code = line->failed;
    for (size_t done = 0; !code && done < line->size;) {
        ssize_t count = write(fd, line->data + done, line->size - done);
        if (count >= 0)
            done += (size_t)count;
        else if (errno != EINTR)
            code = ERR_IO;
    }
    buf_release(line);
    return code;
}

int train_report_start(int fd, const struct trainer *trainer, const struct train_data *data)
{
    struct buf line;
    struct json_writer w = open_event(&line, "start");
    json_write_unsigned(&w, "step", trainer->step);
    json_write_unsigned(&w, "steps", trainer->spec.steps);
    json_write_unsigned(&w, "rows", data->schema.rows);
    json_write_unsigned(&w, "rows_used", data->count);
    json_write_unsigned(&w, "rows_dropped", data->dropped);
    json_write_unsigned(&w, "rows_imputed", data->imputed);
    json_write_unsigned(&w, "rows_held_out", data->count - trainer->train_count);
    json_write_unsigned(&w, "dimension", data->width);
    json_write_unsigned(&w, "parameters", trainer->param_count);
    json_open_array(&w, "columns");
    for (size_t i = 0; i < data->schema.count; i++)
        json_write_string(&w, NULL, data->schema.columns[i].name);
    json_close_array(&w);
    return send_event(fd, &w);
}

int train_report_progress(int fd, const struct trainer *trainer, const struct train_tally *tally)
{
    struct buf line;
    struct json_writer w = open_event(&line, "progress");
    uint64_t left = trainer->spec.steps - trainer->step;
    json_write_unsigned(&w, "step", trainer->step);
    json_write_unsigned(&w, "steps", trainer->spec.steps);
    json_write_number(&w, "loss", tally->loss);
    json_write_number(&w, "validation_loss", tally->validation);
    json_write_number(&w, "learning_rate", trainer_learning_rate(trainer, trainer->step));
    json_write_number(&w, "steps_per_second", tally->pace);
    json_write_number(&w, "remaining_seconds", tally->pace > 0 ? (double)left / tally->pace : NAN);
    return send_event(fd, &w);
}

int train_report_checkpoint(int fd, uint64_t step)
{
    struct buf line;
    struct json_writer w = open_event(&line, "checkpoint");
    json_write_unsigned(&w, "step", step);
    return send_event(fd, &w);
}

int train_report_done(int fd, const struct trainer *trainer, const struct train_tally *tally,
                      double seconds)
{
    struct buf line;
    struct json_writer w = open_event(&line, "done");
    json_write_unsigned(&w, "step", trainer->step);
    json_write_unsigned(&w, "steps", trainer->spec.steps);
    json_write_number(&w, "loss", tally->loss);
    json_write_number(&w, "validation_loss", tally->validation);
    if (isfinite(trainer->best_loss))
        json_write_unsigned(&w, "best_step", trainer->best_step);
    json_write_number(&w, "seconds", seconds);
    return send_event(fd, &w);
}

int train_report_error(int fd, uint64_t step, const struct err *problem)
{
    struct buf line, text;
    buf_init(&text, JOB_DIR_LINE);
    problem_write(&text, problem);
    struct json_writer w = open_event(&line, "error");
    json_write_unsigned(&w, "step", step);
    json_write_raw(&w, "problem", text.data, text.size);
    buf_release(&text);
    return send_event(fd, &w);
}

/* advect-train DIR: trains the job that stands in DIR and exits. Killed at any point, the same
   command goes on from the last state and ends with the same weights. */
#include "core/base/err.h"
#include "core/linalg/mat.h"
#include "core/linalg/self_test.h"
#include "proto/json.h"
#include "server/train/job_dir.h"
#include "server/train/train_data.h"
#include "server/train/train_model.h"
#include "server/train/train_report.h"
#include "server/train/train_state.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { NICE = 19 };

static const double progress_seconds = 0.5;
/* Validations are told too, but a small network may do thousands in a second. */
static const double progress_seconds_min = 0.1;
/* What a kill can cost. A large state is saved less often: at most 5 % of the time goes there. */
static const double save_seconds = 1;
/* Soon after the start, so that even short attempts get a job further. */
static const double first_save_seconds = 0.1;
static const double save_share = 20;
static const double full_disk_seconds = 10;

static volatile sig_atomic_t stop_requested;

struct session {
    int dir; /* descriptor, -1 while closed */
    struct train_request request;
    struct train_identity identity;
    struct train_data data;
    struct trainer trainer;
    struct train_tally tally;
    double began;        /* monotonic seconds */
    double spent_before; /* seconds that earlier attempts trained */
    double save_due;     /* monotonic seconds */
    double progress_due;
};

static void request_stop(int number)
{
    (void)number;
    stop_requested = 1;
}

static double monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double spent(const struct session *session)
{
    return session->spent_before + monotonic() - session->began;
}

static int read_request(struct session *session, struct err *err)
{
    struct buf text;
    buf_init(&text, LIMIT_JSON_BYTES);
    int code = job_dir_read(session->dir, JOB_DIR_REQUEST, &text, err);
    if (!code)
        code = train_request_decode(&session->request, text.data, text.size, err);
    buf_release(&text);
    return code;
}

/* A new trainer, or the one that an earlier attempt left. */
static int make_trainer(struct session *session, struct err *err)
{
    struct train_spec *spec = &session->request.spec;
    const struct train_data *data = &session->data;
    spec->net.dim = data->width;
    int code = trainer_init(&session->trainer, spec, data->rows, data->count, err);
    if (!code)
        train_state_load(&session->trainer, &session->identity, &session->spent_before,
                         session->dir);
    return code;
}

static int save(struct session *session, struct err *err)
{
    double before = monotonic();
    int code =
        train_state_save(&session->trainer, &session->identity, spent(session), session->dir, err);
    if (code)
        return code;
    double now = monotonic();
    session->save_due = now + fmax(save_seconds, save_share * (now - before));
    return train_report_checkpoint(STDOUT_FILENO, session->trainer.step);
}

/* A full disk may be cleared while the training goes on: it is tried again later. */
static int save_or_wait(struct session *session, struct err *err)
{
    int code = save(session, err);
    if (code != ERR_NO_SPACE)
        return code;
    fprintf(stderr, "advect-train: the state of step %llu is not saved: %s\n",
            (unsigned long long)session->trainer.step, err->message);
    *err = (struct err){0};
    session->save_due = monotonic() + full_disk_seconds;
    return 0;
}

static int report(struct session *session)
{
    double now = monotonic();
    train_tally_close(&session->tally, now);
    session->progress_due = now + progress_seconds;
    return train_report_progress(STDOUT_FILENO, &session->trainer, &session->tally);
}

/* One step and what is due after it. The validation comes before the save: it may change the best
   weights, and a run that goes on must not skip it. */
static int advance(struct session *session, struct err *err)
{
    struct trainer *trainer = &session->trainer;
    const struct train_spec *spec = &trainer->spec;
    double loss;
    if (trainer_step(trainer, &loss))
        return err_set(err, ERR_NON_FINITE, "",
                       "the loss left the finite numbers at step %llu; a smaller "
                       "/optimizer/learning_rate may help",
                       (unsigned long long)trainer->step + 1);
    session->tally.loss_sum += loss;
    session->tally.steps++;

    bool last = trainer->step == spec->steps;
    bool validate = trainer->train_count < trainer->row_count &&
                    (trainer->step % spec->validation_every == 0 || last);
    if (validate)
        session->tally.validation = trainer_validate(trainer);
    int code = 0;
    double now = monotonic();
    double due = session->progress_due - (validate ? progress_seconds - progress_seconds_min : 0);
    if (last || now >= due)
        code = report(session);
    if (!code && !last && now >= session->save_due)
        code = save_or_wait(session, err);
    return code;
}

static int write_model(struct session *session, const char *name, struct err *err)
{
    struct train_model result = {&session->trainer, &session->request, &session->data,
                                 &session->tally, spent(session)};
    return train_model_write(&result, session->dir, name, err);
}

/* Keeps what has been learnt so far; the first error counts. */
static int keep(struct session *session, struct err *err)
{
    int code = save(session, err);
    if (!code && session->trainer.step > 0)
        code = write_model(session, JOB_DIR_PARTIAL, err);
    return code;
}

static int prepare(struct session *session, const char *path, struct err *err)
{
    int code;
    (void)((code = job_dir_open(&session->dir, path, err)) ||
           (code = job_dir_lock(session->dir, err)) || (code = read_request(session, err)) ||
           (code = train_identity_read(&session->identity, session->dir, err)) ||
           (code = train_data_load(&session->data, session->dir, &session->request, err)) ||
           (code = make_trainer(session, err)));
    session->began = monotonic();
    session->save_due = session->began + first_save_seconds;
    session->progress_due = session->began + progress_seconds;
    train_tally_start(&session->tally, session->began);
    return code;
}

static enum trainer_exit finish(struct session *session, int code, struct err *err)
{
    if (!code && session->trainer.step == session->trainer.spec.steps) {
        code = write_model(session, JOB_DIR_MODEL, err);
        if (!code)
            code = train_report_done(STDOUT_FILENO, &session->trainer, &session->tally,
                                     spent(session));
        if (!code)
            return TRAINER_DONE;
    } else if (!code) {
        code = keep(session, err);
        if (!code)
            return TRAINER_STOPPED;
    } else if (code == ERR_NON_FINITE) {
        struct err ignored = {0};
        keep(session, &ignored);
    }
    err_set(err, (enum err_code)code, "", "the training stopped: %s",
            err_title((enum err_code)code));
    train_report_error(STDOUT_FILENO, session->trainer.step, err);
    return TRAINER_FAILED;
}

static enum trainer_exit run(struct session *session, const char *path)
{
    struct err err = {0};
    int code = prepare(session, path, &err);
    if (!code)
        code = train_report_start(STDOUT_FILENO, &session->trainer, &session->data);
    while (!code && !stop_requested && session->trainer.step < session->trainer.spec.steps)
        code = advance(session, &err);
    return finish(session, code, &err);
}

static void release(struct session *session)
{
    trainer_release(&session->trainer);
    train_data_release(&session->data);
    train_request_release(&session->request);
    if (session->dir >= 0)
        close(session->dir);
}

/* Sampling goes first; and no orphan trains on when the daemon dies, since a new one goes on. */
static void settle(bool child)
{
    pid_t parent = getppid();
    if (child)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (child && getppid() != parent)
        _exit(TRAINER_FAILED);
    errno = 0;
    if (nice(NICE) == -1 && errno)
        fprintf(stderr, "advect-train: the priority stays as it is: %s\n", strerror(errno));
    struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

int main(int argc, char **argv)
{
    bool child = argc == 3 && strcmp(argv[1], "--child") == 0;
    if (argc != 2 + child) {
        fprintf(stderr, "usage: advect-train [--child] DIRECTORY\n"
                        "Trains the job in DIRECTORY, or goes on with it. --child: dies with its "
                        "parent.\n");
        return TRAINER_USAGE;
    }
    settle(child);
    json_start();
    struct err err = {0};
    if (mat_start())
        err_set(&err, ERR_INTERNAL, "", "the BLAS of this machine computes wrong products");
    else
        self_test_run(simd_select(NULL), &err);
    if (err.code) {
        train_report_error(STDOUT_FILENO, 0, &err);
        return TRAINER_FAILED;
    }
    struct session session = {.dir = -1};
    enum trainer_exit code = run(&session, argv[argc - 1]);
    release(&session);
    return (int)code;
}

#include "server/engine/account.h"

#include "core/base/check.h"

#include <math.h>

enum { ACCOUNT_RETRY_MAX = 60 };

/* Seconds of workers that the rate remembers, more or less: models come and go. */
#define ACCOUNT_MEMORY 20.0

double account_rate(const struct account *account)
{
    if (account->done_seconds <= 0)
        return 0;
    return account->done_cost / account->done_seconds * (double)account->workers;
}

/* How much of what is held must go until the charge fits: 0 to 1. */
static double account_excess(const struct account *account, const struct charge *charge)
{
    double cost = 0, bytes = 0, runs = 0;
    if (account->held_cost > 0)
        cost = (account->held_cost + charge->cost - account->cost_limit) / account->held_cost;
    if (account->held_bytes > 0)
        bytes = ((double)account->held_bytes + (double)charge->bytes -
                 (double)account->bytes_limit) /
                (double)account->held_bytes;
    if (account->runs >= account->runs_limit)
        runs = (double)(account->runs + 1 - account->runs_limit) / (double)account->runs;
    return fmin(1, fmax(cost, fmax(bytes, runs)));
}

static unsigned account_wait(const struct account *account, const struct charge *charge)
{
    double rate = account_rate(account);
    double seconds =
        rate > 0 ? ceil(account_excess(account, charge) * account->held_waiting / rate) : 1;
    return seconds < 1 ? 1 : seconds > ACCOUNT_RETRY_MAX ? ACCOUNT_RETRY_MAX : (unsigned)seconds;
}

static int account_refuse(const struct account *account, const struct charge *charge,
                          struct err *err)
{
    if (account->runs > 0 && account->held_cost + charge->cost > account->cost_limit)
        return err_set(err, ERR_OVERLOADED, "", "%.3g multiply-adds are waiting already",
                       account->held_cost);
    if (account->runs > 0 && (charge->bytes > account->bytes_limit ||
                              account->held_bytes > account->bytes_limit - charge->bytes))
        return err_set(err, ERR_OVERLOADED, "", "the requests in progress hold %.3g bytes already",
                       (double)account->held_bytes);
    if (account->runs >= account->runs_limit)
        return err_set(err, ERR_OVERLOADED, "", "%zu requests are in progress already",
                       account->runs);
    return 0;
}

static double account_cost(const struct account *account, double waiting)
{
    return fmin(waiting, account->cost_limit / ACCOUNT_SHARE);
}

/* A charge's work or pace has changed. */
static void account_recount(struct account *account, struct charge *charge)
{
    double waiting = fmin(charge->work, charge->pace);
    double cost = account_cost(account, waiting);
    account->held_waiting += waiting - charge->waiting;
    account->held_cost += cost - charge->cost;
    charge->waiting = waiting;
    charge->cost = cost;
}

int account_admit(struct account *account, struct charge *charge, struct err *err)
{
    charge->pace = INFINITY;
    charge->waiting = charge->work;
    charge->cost = account_cost(account, charge->waiting);
    int code = account_refuse(account, charge, err);
    if (code) {
        account->retry_seconds = account_wait(account, charge);
        return code;
    }
    account->held_waiting += charge->waiting;
    account->held_cost += charge->cost;
    account->held_bytes += charge->bytes;
    account->runs++;
    return 0;
}

void account_ease(struct account *account, struct charge *charge, double work_left)
{
    charge->pace += charge->work - work_left;
    charge->work = work_left;
    account_recount(account, charge);
}

void account_park(struct account *account, struct charge *charge)
{
    charge->pace = 0;
    account_recount(account, charge);
}

void account_leave(struct account *account, const struct charge *charge)
{
    check(account->runs > 0);
    account->runs--;
    account->held_bytes -= charge->bytes;
    /* Rounding must not pile up. */
    account->held_waiting =
        account->runs > 0 ? fmax(0, account->held_waiting - charge->waiting) : 0;
    account->held_cost = account->runs > 0 ? fmax(0, account->held_cost - charge->cost) : 0;
}

void account_measure(struct account *account, double cost, double seconds)
{
    account->done_cost += cost;
    account->done_seconds += seconds;
    if (account->done_seconds > ACCOUNT_MEMORY) {
        account->done_cost /= 2;
        account->done_seconds /= 2;
    }
}

"""Dormand-Prince 5(4) over a batch of rows in float64, with one error norm for the batch, as
torchdiffeq has it, or one for each row, as advectd has it."""
import numpy as np

C = [0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1]
A = [[],
     [1 / 5],
     [3 / 40, 9 / 40],
     [44 / 45, -56 / 15, 32 / 9],
     [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
     [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
     [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]]
E = [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40]
ORDER, SAFETY, SHRINK_MOST, GROW_MOST = 5, 0.9, 0.2, 10.0


class OurRule:
    """core/flow/control.c: PI control."""

    def __init__(self, rows):
        self.log_before = np.full(rows, np.log(1e-4))
        self.rejected = np.zeros(rows, bool)

    def factors(self, at, error):
        accepted = error <= 1
        log_error = np.log(np.maximum(error, 1e-10))
        exponent = -0.85 * log_error + np.where(accepted, 0.2 * self.log_before[at], 0)
        most = np.where(accepted & ~self.rejected[at], GROW_MOST, 1.0)
        self.log_before[at] = np.where(accepted, np.maximum(log_error, np.log(1e-4)),
                                       self.log_before[at])
        self.rejected[at] = ~accepted
        return np.clip(SAFETY * np.exp(exponent / ORDER), SHRINK_MOST, most)


class TheirRule:
    """torchdiffeq's _optimal_step_size: I control."""

    def __init__(self, rows):
        pass

    def factors(self, _, error):
        least = np.where(error < 1, 1.0, SHRINK_MOST)
        return np.clip(SAFETY * np.maximum(error, 1e-10) ** (-1 / ORDER), least, GROW_MOST)


class Solve:
    """field(x [rows, dim], t [rows]) -> velocities; from t = 0 to 1 with rtol = atol = tolerance.
    The last step ends at 1, where torchdiffeq steps over it and interpolates."""

    def __init__(self, field, x, tolerance, rule, each_row):
        self.field, self.tolerance, self.each_row = field, tolerance, each_row
        self.x = x.astype(float)
        self.t = np.zeros(len(x))
        self.rule = rule(len(x))
        self.evaluations = np.zeros(len(x), int)
        everyone = np.arange(len(x))
        self.slope = self.velocity(everyone, self.x, self.t)
        self.h = self.first_step(everyone)
        while len(going := np.flatnonzero(self.t < 1)):
            self.step(going)

    def velocity(self, at, x, t):
        self.evaluations[at] += 1
        return self.field(x, t)

    def norm(self, values, size):
        """Root mean square of values / (atol + rtol size): of each row, or the same for all."""
        squares = (values / (self.tolerance * (1 + size))) ** 2
        if not self.each_row:
            return np.full(len(values), np.sqrt(squares.mean()))
        return np.sqrt(squares.mean(axis=1))

    def first_step(self, at):
        """Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, II.4."""
        size = np.abs(self.x)
        state, slope = self.norm(self.x, size), self.norm(self.slope, size)
        h0 = np.minimum(0.01 * state / slope, 1)
        bent = self.velocity(at, self.x + h0[:, None] * self.slope, h0)
        bend = self.norm(bent - self.slope, size) / h0
        return np.minimum((0.01 / np.maximum(slope, bend)) ** (1 / ORDER), 100 * h0)

    def step(self, at):
        left = 1 - self.t[at]
        last = 1.01 * self.h[at] >= left
        h = np.where(last, left, self.h[at])
        x, slopes = self.x[at], [self.slope[at]]
        for s in range(1, len(C)):
            stage = x + h[:, None] * sum(a * k for a, k in zip(A[s], slopes))
            slopes.append(self.velocity(at, stage, self.t[at] + C[s] * h))
        estimate = h[:, None] * sum(e * k for e, k in zip(E, slopes))
        error = self.norm(estimate, np.maximum(np.abs(x), np.abs(stage)))
        self.h[at] = h * self.rule.factors(at, error)
        kept = error <= 1
        self.x[at[kept]], self.slope[at[kept]] = stage[kept], slopes[-1][kept]
        self.t[at[kept]] = np.where(last, 1.0, self.t[at] + h)[kept]

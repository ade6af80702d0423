/* Between named tensors and the MLP: finds the layers of a PyTorch state_dict, whatever its
   prefix. */
#ifndef CORE_NET_WEIGHTS_H
#define CORE_NET_WEIGHTS_H

#include "core/net/net.h"
#include "core/net/tensor.h"

/* Reads the layer widths off the keys PREFIX.N.weight / PREFIX.N.bias (N rising, one prefix) and
   completes *spec: activation and time are given, dim and hidden come from the shapes. Keys
   under "optimizer." or "ema." are ignored by load and infer. 0, or ERR_FORMAT with the tensor
   at fault: a scalar output where x has several dimensions (an action-matching potential) is
   refused by name; so are layers that do not chain, missing biases, wrong ranks, mixed dtypes. */
int weights_infer(struct net_spec *spec, const struct tensor_table *table, struct err *err);

/* Initialises, fills and packs *net from a table that weights_infer accepted; every value is
   checked to be finite. 0, ERR_FORMAT, ERR_NOMEM. */
int weights_load(struct net *net, const struct net_spec *spec, const struct tensor_table *table,
                 struct err *err);

/* Adds "PREFIXnet.N.weight" and ".bias" views of a flat parameter vector (N = 0, 2, 4, ... as
   torch.nn.Sequential counts activations too). 0 or ERR_NOMEM. params stay borrowed. */
int weights_export(struct tensor_table *table, const char *prefix, const struct net_spec *spec,
                   const float *params);

#endif

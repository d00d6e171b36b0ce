"""Mutants that may survive, by their names: those that are no mistakes, and small ones."""
# ruff: noqa: E501 (names are not broken)

# No input can tell such a mutant from the original, because:
EQUIVALENT: dict[str, str] = {
    "graph.fit: nce(share, Traced) else [type → ](g)._of(np.asarray(share":
        "a class method is the same when taken from an instance",
    "graph.pull: wrap, sources = [type → ](g)._of, (*node.parents,":
        "a class method is the same when taken from an instance",
    "rules.Derivative.__init__: getargs(fn.__code__) if [plain → False] else inspect.getfullarg":
        "a shortcut for speed: both read the same signature",
    "rules.Derivative.__init__: ds = None if every else [tuple → ]([arrays.index(n) for n ":
        "needs are gone through; what needs nothing makes no 0 infinite",
    "rules.Rule.differentiable: return [tuple → ](nodes) if None not in s":
        "parents are gone through and counted, nothing else",
    "rules.Rule.differentiable: n self.derivatives else [tuple(  → (][d and n for d, n in zip":
        "parents are gone through and counted, nothing else",
    "rules.rule: n = [None if spec.variadic else len(spec.operands → (len(spec.operands)) if spec.variadic else (None])":
        "a shortcut for speed: bind gives the same",
    "rules.rule: n = None if [spec.variadic → True] else len(spec.operands)":
        "a shortcut for speed: bind gives the same",
    "rules.rule: n = None if [spec.variadic → False] else len(spec.operands)":
        "a shortcut for speed: bind gives the same",
    "rules.rule: n = [None → 0] if spec.variadic else l":
        "a shortcut for speed: bind gives the same",
    "rules.rule: e if spec.variadic else [len → ](spec.operands)":
        "a shortcut for speed: bind gives the same",
    "rules.rule: if [keywords or len(args) != n → True]:":
        "a shortcut for speed: bind gives the same",
    "rules.rule: if keywords or [len → ](args) != n:":
        "a shortcut for speed: bind gives the same",
    "rules.where: ition: gate(g, np.equal([condition, 0 → (0), (condition)])))":
        "equality has no order",
    "rules.clip:  x, low, high: gate(g, ([x > high) | (low → low > high) | (x] > high)))":
        "one or the other, in any order",
    "rules.spread: if [shape and axis is not None and not keepdims → ((shape) and (axis is not None))]: # NumPy reduces a numb":
        "to reshape to the shape it has changes nothing",
    "rules.spread: g = g.reshape([tuple → ]([1 if a in axes else si":
        "a shape may be given as a list",
    "rules.spread: ble.repeat(g, shape) if [isinstance(g, np.ndarray) → False] else np.broadcast_to(g,":
        "both repeat; one of them is quicker",
    "rules._einsum_each: return gradient if [gradient.shape == shap → Fals]e else np.broadcast_to(g":
        "to broadcast to the shape it has changes nothing",
    "stable.BLOCK: BLOCK = [1 << 14 → (14)] # elements: with what i":
        "a size of blocks: for speed alone",
    "stable.BLOCK: BLOCK = [1 << 14 → (1)] # elements: with what i":
        "a size of blocks: for speed alone",
    "stable.BLOCK: BLOCK = [1 << 14 → (14) << (1)] # elements: with what i":
        "a size of blocks: for speed alone",
    "stable.BLOCK: BLOCK = [1 → 2] << 14 # elements: with ":
        "a size of blocks: for speed alone",
    "stable.BLOCK: BLOCK = 1 << 1[4 → 5] # elements: with what i":
        "a size of blocks: for speed alone",
    "stable.BLOCK: BLOCK = 1 << [14 → (13)] # elements: with what i":
        "a size of blocks: for speed alone",
    "stable.LARGE: LARGE = [1 << 18 → (18)] # elements: from here o":
        "a size of arrays: for speed alone",
    "stable.LARGE: LARGE = [1 << 18 → (18) << (1)] # elements: from here o":
        "a size of arrays: for speed alone",
    "stable.LARGE: LARGE = [1 → 2] << 18 # elements: from ":
        "a size of arrays: for speed alone",
    "stable.LARGE: LARGE = 1 << 1[8 → 9] # elements: from here o":
        "a size of arrays: for speed alone",
    'stable.in_blocks: if [np.size(x) < LARGE or x.dtype.kind != "f" or not x.flags.c_contiguous → True]:':
        "in blocks or not: for speed alone",
    "stable.LARGE: LARGE = 1 << [18 → (17)] # elements: from here o":
        "a size of arrays: for speed alone",
    "stable.in_blocks: if np.size(x) <[ → =] LARGE or x.dtype.kind !":
        "in blocks or not: for speed alone",
    'stable.in_blocks: RGE or x.dtype.kind != "[f → ]" or not x.flags.c_conti':
        "in blocks or not: for speed alone",
    "stable.in_blocks: to, flat = out.reshape(-[1 → 2]), x.reshape(-1)":
        "NumPy takes any negative side for one that is not known",
    "stable.in_blocks: reshape(-1), x.reshape(-[1 → 2])":
        "NumPy takes any negative side for one that is not known",
    "stable.gate: let = [np.asarray → ](x * (mask if mask.dtype":
        "a number is as good as an array of no axes",
    'stable.gate: np.asarray(x * (mask if [mask.dtype.kind == "b" → False] else mask != 0))':
        "a shortcut for speed: of a mask it is what the comparison gives",
    'stable.gate: mask if mask.dtype.kind [= → <]= "b" else mask != 0))':
        "a shortcut for speed: of a mask it is what the comparison gives",
    'stable.gate:  if mask.dtype.kind == "[b → ]" else mask != 0))':
        "a shortcut for speed: of a mask it is what the comparison gives",
    "stable.gate: return let if [math.isfinite(abs(np.vdot(let, let))) → False] else np.where(mask, x, ":
        "np.where gives the same, in more time",
    "stable.others: e = [np.asarray → ](np.exp(below))":
        "a number is as good as an array of no axes",
    "stable.repeat: steps = [0 if side [= → <]= 1 else g.strides[axis]":
        "where a side is 0 there is nothing to step over",
    "rules.Derivative.keywords: if [not self.wants → False]:":
        "a shortcut for speed: what is not wanted is not passed on",
    "rules.Rule.bind: return [tuple → ]([v for _, v in bound[:n":
        "operands are gone through and counted, nothing else",
    "rules.Rule.derivative: return self.derivatives[[0 → (-1)] if self.variadic else i":
        "there is one derivative, the first and the last",
    "rules.Rule.explain: mentwise or len(arrays) [= → <]= 1 else":
        "there is no operation of no operand",
    "rules.Rule.wanted: = {j for other in others[ → [::-1]] for j in other}":
        "a union has no order",
    "rules.Rule.wanted: if [tracked not in self._wanted → True]:":
        "it is remembered for speed alone",
    "rules._einsum_each: rm for term, _ in others[ → [::-1]]): # summed away: all re":
        "which of them is found first does not matter",
    "rules._matmul_x: (g[..., None, :] @ y.mT)[[..., 0, :] → ]":
        "the walk un-broadcasts an axis of length 1 away",
    "rules._matmul_x: , None, :] @ y.mT)[..., [0 → (-1)], :]":
        "the axis has length 1",
    "rules._matmul_x: if len(x_shape) [= → <]= 1:":
        "there are no operands of 0 axes: matmul refuses them",
    "rules._matmul_x: if y.ndim [= → <]= 1:":
        "there are no operands of 0 axes: matmul refuses them",
    "rules._matmul_y: mT @ g[..., None])[..., [0 → (-1)]]":
        "the axis has length 1",
    "rules._matmul_y: if len(y_shape) == 2 <[ → =] x.ndim: # one matrix fo":
        "to reshape what has two axes so changes nothing",
    "rules._matmul_y: if len(y_shape) [= → <]= 1:":
        "there are no operands of 0 axes: matmul refuses them",
    "rules._matmul_y: if len(y_shape) [= → <]= 2 < x.ndim: # one matr":
        "one axis was dealt with before",
    "rules._matmul_y: if x.ndim [= → <]= 1:":
        "there are no operands of 0 axes: matmul refuses them",
    "rules._matmul_y: n x * g if len(y_shape) [= → <]= 1 else x[:, None] * g[":
        "there are no operands of 0 axes: matmul refuses them",
    "stable.norm: dtype=np.result_type(x, [1 → 2].0)), axis=axis, keepdim":
        "only its type counts",
    "stable.norm: dtype=np.result_type(x, [1.0 → (-1.0)])), axis=axis, keepdims=":
        "only its type counts",
    "stable.norm: dtype=np.result_type(x, [1.0 → (0.0)])), axis=axis, keepdims=":
        "only its type counts",
    "stable.norm: dtype=np.result_type(x, [1.0 → (1.0 * (1 + 1e-6))])), axis=axis, keepdims=":
        "only its type counts",
    "rules._put: ype != bool for k in key[ → [::-1]]):":
        "which of the keys is found first does not matter",
    "rules._scatter: _rows(out, ids.reshape(-[1 → 2]), x.reshape(ids.size, *":
        "NumPy takes any negative number for the side that follows from the others",
    "rules._scatter: if [axis → True]:":
        "a shortcut for speed: the general way gives the same",
    "rules._take_x: rn RowGrad(ids.reshape(-[1 → 2]), g.reshape(ids.size, *":
        "NumPy takes any negative number for the side that follows from the others",
    "rules.abs:  np.where(x < 0, -g, 0))[ → , elementwise=False])":
        "the share is g or 0: there is no slope that could be infinite",
    "rules.balanced: if [not np.any(sure) → False]:":
        "a shortcut for speed: the general way gives the same",
    "rules.clip: low=lambda g, x, low, [high: gate(g, (x < low) & (low <= high → out: gate(g, (x < low) & (low <= out])),":
        "the result is the bound wherever the comparison could differ",
    "rules.clip: x=lambda g, x, low, [high: gate(g, (low <= x) & (x <= high → out: gate(g, (low <= x) & (x <= out])),":
        "the result is the bound wherever the comparison could differ",
    "stable.count: ([shape[a] for a in axes[ → [::-1]]])":
        "factors commute",
    "rules.logsumexp: spread(np.where(out [= → <]= -np.inf, 0, g), x, axi":
        "nothing is less than −∞",
    "rules.maximum: = y, g / 2, np.where(x <[ → =] y, g, 0)))":
        "equal operands were given their halves by the condition before",
    "rules.maximum: = y, g / 2, np.where(x >[ → =] y, g, 0)),":
        "equal operands were given their halves by the condition before",
    "rules.minimum: = y, g / 2, np.where(x <[ → =] y, g, 0)),":
        "equal operands were given their halves by the condition before",
    "rules.minimum: = y, g / 2, np.where(x >[ → =] y, g, 0)))":
        "equal operands were given their halves by the condition before",
    "rules.pad: _width, constant_values=[0 → (-1)]: g[tuple(":
        "the derivative does not use it: it only says that the operation knows it",
    "rules.pad: _width, constant_values=[0 → 1]: g[tuple(":
        "the derivative does not use it: it only says that the operation knows it",
    "rules.power: (y == 0) & ~np.isfinite([1 → (-1)] / x), 0, y * x ** (y - ":
        "−∞ is not finite either",
    "rules.relu: table.relu, elementwise=[Tru → Fals]e, x=lambda g, out: gate":
        "the share is g or 0: there is no slope that could be infinite",
    'rules.rule: attr(fn, "__module__", "[ → ?]")).startswith("numpy"):':
        "whatever can be called has a __module__",
    'rules.rule: getattr(fn, "__module__"[, "" → ])).startswith("numpy"):':
        "whatever can be called has a __module__",
    "rules.sigmoid: bda g, x: g * sech2(x / [2 → (-2)]) / 4) # E8":
        "sech² is even",
    "stable.unless_0: return np.where(x [= → <]= 0, 1, x)":
        "it is given roots, which are never negative",
    "rules.take:  = rule(_take, x=_take_x[ → , elementwise=True])":
        "the flag counts where a slope depends on where it is taken; this one does not",
    "sparse.RowGrad.coalesce: .rows[order], first) if [len(first) → True] else self.rows":
        "NumPy adds no rows up to no rows, of the same type and width",
    "sparse.add_rows: 1), flat, rows.reshape(-[1 → 2]))":
        "NumPy takes any negative number for the side that follows from the others",
    "sparse.add_rows: p.add.at(table.reshape(-[1 → 2]), flat, rows.reshape(-1":
        "NumPy takes any negative number for the side that follows from the others",
    "stable.below_peak: axis, np.result_type(x, [1 → 2].0), keepdims=True, init":
        "only its type counts",
    "stable.below_peak: axis, np.result_type(x, [1.0 → (-1.0)]), keepdims=True, initia":
        "only its type counts",
    "stable.below_peak: axis, np.result_type(x, [1.0 → (0.0)]), keepdims=True, initia":
        "only its type counts",
    "stable.below_peak: axis, np.result_type(x, [1.0 → (1.0 * (1 + 1e-6))]), keepdims=True, initia":
        "only its type counts",
    "stable.below_peak: if [np.all(np.isfinite(peak)) → False]:":
        "a shortcut for speed: the general way gives the same",
    "stable.sigmoid: p = np.maximum(t, x >[= → ] 0) # eˣ to the left of ":
        "at 0 eˣ is 1 as well",
    "stable.others: .add.reduce(ones, axis, [np.intp,  → ]keepdims=True) - (e.size":
        "NumPy counts booleans in integers of its own accord",
    'stable.shape_of:  x.shape if hasattr(x, "[shape → ]") else np.shape(x)':
        "a shortcut for speed: numpy.shape asks for the same",
    'stable.shape_of: return x.shape if [hasattr(x, "shape") → False] else np.shape(x)':
        "a shortcut for speed: numpy.shape asks for the same",
    "stable.repeat: if [not g.flags.c_contiguous → True]:":
        "a shortcut for speed: numpy.broadcast_to gives the same view",
    "graph.pull: g: Any, careful: bool = [Fals → Tru]e) -> Any:":
        "a shortcut for speed: the walk would look at what arrives, and go again, carefully",
    "graph.pull: if not (careful [and → or] derivative.local):":
        "a shortcut for speed: the walk would look at what arrives, and go again, carefully",
    "graph.pull: if not ([careful and derivative.local → ((derivative.local))]):":
        "a shortcut for speed: the walk would look at what arrives, and go again, carefully",
    "graph.pull: if not ([careful and derivative.local → ((careful))]):":
        "what nothing is kept for has no slope of its own that could be infinite",
    "graph.fit: if [type(share) is type(g) and share.dtype is parent.dtype and share.shape == parent.shap → Fals]e:":
        "a shortcut for speed: what fits is given back by the lines below, too",
    "graph.fit: if [type → ](share) is type(g) and s":
        "a shortcut for speed: what fits is given back by the lines below, too",
    "graph.fit: if type(share) is [type → ](g) and share.dtype is p":
        "a shortcut for speed: what fits is given back by the lines below, too",
    "graph.fit: return fitted if [fitted.dtype == parent.dtyp → Fals]e else fitted.astype(par":
        "a shortcut for speed: a copy of the same type",
    "sparse.unbroadcast: turn share.sum(axis=axes[, keepdims=True → ]).reshape(shape)":
        "reshaped to the same afterwards; axes are summed over in one go, in any order",
    "sparse.unbroadcast: turn share.sum(axis=axes[ → [::-1]], keepdims=True).reshape":
        "reshaped to the same afterwards; axes are summed over in one go, in any order",
    "sparse.is_finite: if [type(share) is not np.ndarray → True]: # of a Tensor its arra":
        "a shortcut for speed: an array has neither `_data` nor `rows`",
    "sparse.unbroadcast: sum(axis=axes, keepdims=[Tru → Fals]e).reshape(shape)":
        "reshaped to the same afterwards; axes are summed over in one go, in any order",
    "sparse.is_finite: if [type → ](share) is not np.ndarra":
        "a shortcut for speed: an array has neither `_data` nor `rows`",
    'sparse.is_finite: getattr(share, "_data", [getattr(share, "rows",  → (]share))':
        "a shortcut for speed: a RowGrad is a whole array if asked",
    'sparse.RowGrad.coalesce: er = np.argsort(self.ids[, kind="stable" → ])':
        "the order in which the shares of one row are added up is of no account",
    "sparse.RowGrad.coalesce: o(np.diff(ids, prepend=-[1 → 2]))":
        "no id is negative: either number differs from the first",
    'sparse.is_finite: _data", getattr(share, "[rows → ]", share))':
        "a shortcut for speed: a RowGrad is a whole array if asked",
    "stable.einsum: plain = all(np.ndim(x) [= → !]= len({*term}) == len(te":
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    "stable.einsum: plain = all(np.ndim(x) [= → <]= len({*term}) == len(te":
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    "stable.einsum: ndim(x) == len({*term}) [= → !]= len(term)":
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    "stable.einsum: ain = all(np.ndim(x) == [len → ]({*term}) == len(term)":
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    "stable.einsum: m(x) == len({*term}) == [len → ](term)":
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    'stable.einsum: if [len(terms) != 2 or not plain or {*output} != {*"".join(terms)} → True]:':
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    "stable.einsum:  x, term in zip(operands[ → [::-1]], terms, strict=True))":
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    "stable.einsum: if len(terms) != [2 → (-2)] or not plain or {*outpu":
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    "stable.einsum: if [len → ](terms) != 2 or not plai":
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    'stable.einsum: plain or {*output} != {*["".join → ](terms)}:':
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
    'stable.einsum: lain or {*output} != {*"[ → ?]".join(terms)}:':
        "a shortcut for speed: numpy.einsum gives the same product, and refuses the same",
}

# A difference in speed, in the last bit, in the sign of a 0. It counts as a survivor:
EXCUSED: dict[str, str] = {
    "rules._einsum_each: elif [not any(letter in term for term, _ in others) → True]: # summed away: all rec":
        "slower; a factor of ones more changes no product",
    "rules._einsum_each: elif not a[ny → ll](letter in term for term":
        "slower; a factor of ones more changes no product",
    "stable.leaky_relu: return np.where(x >[ → =] 0, x, slope * x)":
        "at 0 both branches give 0, but for its sign, if `slope` is finite",
    "rules._log_softmax_x: sure = p > [0.5 → (0.5 * (1 + 1e-6))]":
        "both forms are the same number; the bound only says which one is rounded less",
    "rules._matmul_y: [x, g = np.reshape(x, (n, x.shape[-1])), np.reshape(g, (n, g.shape[-1])) → pass]":
        "slower, and summed in another order: by the walk, over the stack",
    "rules._matmul_y: if [len → ](y_shape) == 2 < x.ndim:":
        "slower, and summed in another order: by the walk, over the stack",
    "rules._matmul_y: if [len(y_shape) == 2 < x.ndim → False]: # one matrix for a sta":
        "slower, and summed in another order: by the walk, over the stack",
    "rules._matmul_y: if len(y_shape) == 2 [< → >] x.ndim: # one matrix fo":
        "slower, and summed in another order: by the walk, over the stack",
    "rules._matmul_y: if len(y_shape) == [2 → (-2)] < x.ndim: # one matrix ":
        "slower, and summed in another order: by the walk, over the stack",
    "rules._matmul_y: if len(y_shape) == [2 → (1)] < x.ndim: # one matrix ":
        "slower, and summed in another order: by the walk, over the stack",
    "rules._put: if [any(isinstance(k, np.ndarray) and k.dtype != bool for k in key → ((isinstance(k, np.ndarray) and k.dtype != bool for k in key)]):":
        "slower; to add to 0 is to assign, but for the sign of a 0",
    "rules._put: if [any(isinstance(k, np.ndarray) and k.dtype != bool for k in key) → True]:":
        "slower; to add to 0 is to assign, but for the sign of a 0",
    "rules._put: if any([isinstance(k, np.ndarray) and k.dtype != bool → ((isinstance(k, np.ndarray)))] for k in key):":
        "slower; to add to 0 is to assign, but for the sign of a 0",
    "stable.centred: x = x - 1.0 * np.m[ax → in](x, axis=axis, keepdims=":
        "any element of the line, subtracted first, leaves exactly 0 of equal ones; others are rounded otherwise",
    "rules.clip: high=lambda g, x, low, [high: gate(g, (x > high) | (low > high → out: gate(g, (x > out) | (low > out])))":
        "the result is the bound wherever the comparison could differ, but for NaN between crossed bounds",
    "rules.softmax:  keepdims=True)), out > [0.5 → (0.5 * (1 + 1e-6))], axis))":
        "both forms are the same number; the bound only says which one is rounded less",
    "rules.clip: le(np.clip, elementwise=[Tru → Fals]e, # at a bound: 1":
        "nothing infinite comes through a gate; the advice of an error alone tells, which tests/test_errors.py pins",
}

static real *room(size_t numbers) {
  real *memory = calloc(numbers, sizeof(real));
  if (!memory) puts("there is not enough memory"), exit(1);
  return memory;
}

// One step takes the documents of a batch one after the other, without padding: N tokens in all.
static int ids[BATCH * BLOCK], targets[BATCH * BLOCK], place[BATCH * BLOCK];
static int64_t start[BATCH + 1], square[BATCH + 1];
static real loss_weights[BATCH * BLOCK + ROOM];

static Batch batch_of(int64_t step) {
  Batch batch = {.docs = BATCH, .start = start, .square = square, .ids = ids, .targets = targets,
                 .place = place, .weights = loss_weights};
  for (int64_t d = 0; d < BATCH; d++) {
    int tokens[BLOCK + 1], T = tokens_of(step * BATCH + d, tokens) - 1;
    start[d] = batch.N, square[d] = batch.SQ;
    for (int t = 0; t < T; t++, batch.N++)
      ids[batch.N] = tokens[t], targets[batch.N] = tokens[t + 1], place[batch.N] = t;
    batch.SQ += T * T;
  }
  start[BATCH] = batch.N, batch.all = batch.N, batch.all_pairs = batch.SQ;
  for (int64_t n = 0; n < batch.N; n++) loss_weights[n] = 1.0 / batch.N;
  return batch;
}

// The batch's mean loss before the update, in nats a token.
static double train(int64_t step) {
  static real *mem, results[RESULTS];
  if (!mem) mem = room(WORK);
  Batch batch = batch_of(step);
  real numbers[2 + ROOM] = {learning_rate(step), step};
  batch.numbers = numbers;
  Memory memory = {carry, keep, sums, mem, results};
  before(&batch, &memory);
  documents(&batch, &memory);
  after(&batch, &memory);
  finish(&batch, &memory);
  return results[1];
}

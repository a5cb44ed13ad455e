// Many steps in one call. A batch's documents are shared out among lanes: as many as its size says, whatever
// the number of threads. Threads take lane after lane, and sums are added up in the order of the lanes, so that
// no bit depends on the threads. Then they take update after update.
enum { MOST_LANES = 8, MOST_THREADS = 8 };

typedef struct {
  int64_t count;        // steps
  int64_t threads;      // how many may work
  int64_t rows;         // tokens from which on a lane of its own is worth while
  int64_t parts;        // of each batch, one after the other
  const int64_t *docs;  // documents of each step
  const int *lengths, *ids, *targets;      // of each document; of each token
  const real *numbers, *weights;           // of each step; of each token
  const real *masks, *score_masks;
  real *carry, *keep, *sums, *mem, *results;
  int64_t lane_size;                       // numbers of `mem` for a lane
  int64_t *start, *square;                 // room for one number a document, and one a lane
  int *place;                              // room for one number a token
} Call;

typedef struct {
  Batch batches[MOST_LANES];
  Memory memories[MOST_LANES];
  Batch step;
  Memory whole;
  int64_t lanes, helpers;
  int updating;
  pthread_t threads[MOST_THREADS];
  atomic_long next, left, round, stop;  // next: tasks that nobody has taken, never read with `lanes`
} Work;

static void take_tasks(Work *w) {
  for (long i; (i = atomic_fetch_sub(&w->next, 1) - 1) >= 0;) {
    if (w->updating) updates[i](&w->step, &w->whole);
    else documents(&w->batches[i], &w->memories[i]);
    atomic_fetch_sub(&w->left, 1);
  }
}

static void *helper(void *work) {
  Work *w = work;
  for (long seen = 0;; seen++) {
    for (long i = 0; atomic_load(&w->round) == seen; i++) {
      if (atomic_load(&w->stop)) return 0;
      if (i > 2000) sched_yield();
    }
    take_tasks(w);
  }
}

// Share the documents from `first` to `end` of a step out among lanes.
static void set_lanes(Work *w, const Call *call, Batch step, int64_t first, int64_t end, int64_t slot) {
  int64_t tokens = 0, d = first, n = 0, pairs = 0;
  for (int64_t i = first; i < end; i++) tokens += call->lengths[i];
  int64_t worth = least(least(tokens / call->rows, end - first), MOST_LANES);
  for (w->lanes = 1; w->lanes * 2 <= worth;) w->lanes *= 2;  // equal shares for two threads, or four
  for (int64_t l = 0; l < w->lanes; l++) {
    int64_t N = 0, SQ = 0;
    Batch *batch = &w->batches[l];
    *batch = step;
    batch->start = call->start + d + l, batch->square = call->square + d + l;
    batch->ids = step.ids + n, batch->targets = step.targets + n;
    batch->place = call->place + n, batch->weights = step.weights + n;
    batch->masks = step.masks + n * MASK_WIDTH;
    batch->score_masks = step.score_masks + pairs * SCORE_MASK_WIDTH;
    for (; d < end && (l == w->lanes - 1 || n + N < tokens * (l + 1) / w->lanes); d++, batch->docs++) {
      int64_t T = call->lengths[d];
      call->start[d + l] = N, call->square[d + l] = SQ;
      for (int64_t t = 0; t < T; t++) call->place[n + N + t] = (int)t;
      N += T, SQ += T * T;
    }
    call->start[d + l] = N;
    batch->N = N, batch->SQ = SQ;
    n += N, pairs += SQ;
    w->memories[l] = (Memory){call->carry, call->keep, call->sums + (slot + l) * SUMS,
                              call->mem + l * call->lane_size, call->results};
  }
}

// Compute lanes or updates, with helping threads if there is more than one.
static void share(Work *w, int64_t tasks, int updating, int64_t most_threads) {
  w->updating = updating;
  atomic_store(&w->left, (long)tasks);
  atomic_store(&w->next, (long)tasks);
  if (tasks > 1) {
    atomic_fetch_add(&w->round, 1);
    while (w->helpers < least(most_threads, MOST_THREADS) - 1 &&
           !pthread_create(&w->threads[w->helpers], 0, helper, w)) w->helpers++;
  }
  take_tasks(w);
  for (long i = 0; atomic_load(&w->left); i++) if (i > 2000) sched_yield();
}

void steps(const Call *given) {
  Call call = *given;
  Work work = {.lanes = 0}, *w = &work;
  for (int64_t s = 0; s < call.count; s++) {
    int64_t docs = call.docs[s], N = 0, SQ = 0;
    for (int64_t d = 0; d < docs; d++) N += call.lengths[d], SQ += (int64_t)call.lengths[d] * call.lengths[d];
    Batch step = {.all = N, .all_pairs = SQ, .ids = call.ids, .targets = call.targets, .numbers = call.numbers,
                  .weights = call.weights, .masks = call.masks, .score_masks = call.score_masks};
    Memory whole = {call.carry, call.keep, call.sums, call.mem, call.results};
    before(&step, &whole);
    for (int64_t p = 0, end = 0, parts = most(1, least(call.parts, docs)); p < parts; p++) {
      int64_t first = end, slot = p > 0;  // later parts are added to the sums of the first
      end = docs * (p + 1) / parts;
      set_lanes(w, &call, step, first, end, slot);
      share(w, w->lanes, 0, call.threads);
      for (int64_t l = 1; l < w->lanes + slot; l++)
        for (int64_t i = 0; i < SUMS; i++) call.sums[i] += call.sums[l * SUMS + i];
      for (int64_t l = 0; l < w->lanes; l++) {
        int64_t n = w->batches[l].N, pairs = w->batches[l].SQ;
        step.ids += n, step.targets += n, step.weights += n;
        step.masks += n * MASK_WIDTH, step.score_masks += pairs * SCORE_MASK_WIDTH;
      }
    }
    after(&step, &whole);
    w->step = step, w->whole = whole;
    if (UPDATES) share(w, UPDATES, 1, call.threads);
    finish(&step, &whole);
    call.lengths += docs, call.ids += N, call.targets += N, call.weights += N;
    call.numbers += NUMBERS, call.results += RESULTS;
    call.masks += N * MASKS * MASK_WIDTH, call.score_masks += SQ * SCORE_MASKS * SCORE_MASK_WIDTH;
  }
  atomic_store(&work.stop, 1);
  for (int64_t i = 0; i < w->helpers; i++) pthread_join(w->threads[i], 0);
}

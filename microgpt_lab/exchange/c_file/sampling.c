// The logits of the token after the first n: the forward pass over all of them, every time.
static const real *logits_after(const int *tokens, int n) {
  static real mem[SAMPLE_WORK], result[1];
  const int64_t N = n, SQ = N * N;
  int64_t begins[] = {0, N}, squares[] = {0, SQ};
  int places[BLOCK];
  for (int t = 0; t < n; t++) places[t] = t;
  Batch batch = {.docs = 1, .N = N, .SQ = SQ, .all = N, .all_pairs = SQ, .start = begins, .square = squares,
                 .ids = tokens, .place = places};
  Memory memory = {carry, sample_keep, sample_sums, mem, result};
  sample_before(&batch, &memory);
  sample_documents(&batch, &memory);
  return LOGITS + (N - 1) * VOCAB;
}

static void print_sample(Random *rng) {
  int tokens[BLOCK + 1] = {START}, n = 1;
  while (n <= BLOCK && (tokens[n] = choose(logits_after(tokens, n), rng)) != BOS) print_token(tokens[n++]);
  puts("");
}

int main(void) {
  Random rng;
  start_run(&rng);
  for (int64_t step = 0; step < STEPS; step++)
    printf("step %lld loss %.17g\n", (long long)(step + 1), train(step));
  for (int i = 1; i <= SAMPLES; i++) printf("sample %d: ", i), print_sample(&rng);
}

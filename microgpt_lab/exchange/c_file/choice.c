// Leave only the likeliest tokens: TOP_K of them, or with them those that together reach TOP_P, and of
// these only those that have at least MIN_P of the largest probability.
static void keep_likeliest(double *p) {
  int order[VOCAB], kept = VOCAB;
  double total = 0, reached = 0;
  for (int i = 0; i < VOCAB; i++) {
    int at = i;
    for (; at && p[order[at - 1]] < p[i]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  if (TOP_K && TOP_K < VOCAB) while (p[order[kept - 1]] < p[order[TOP_K - 1]]) kept--;
  for (int i = 0; i < kept; i++) total += p[order[i]];
  if (TOP_P < 1) for (int i = 0; i < kept; i++) if ((reached += p[order[i]]) >= TOP_P * total) kept = i + 1;
  while (p[order[kept - 1]] < MIN_P * p[order[0]]) kept--;
  total = 0;
  for (int i = 0; i < kept; i++) total += p[order[i]];
  for (int i = 0; i < VOCAB; i++) p[order[i]] = i < kept ? p[order[i]] / total : 0;
}

// A token drawn from softmax(logits / TEMPERATURE).
static int draw(const real *logits, Random *rng) {
  double p[VOCAB], largest = -INFINITY, total = 0;
  int i;
  for (i = 0; i < VOCAB; i++) largest = fmax(largest, logits[i]);
  for (i = 0; i < VOCAB; i++) total += p[i] = exp((logits[i] - largest) / TEMPERATURE);
  for (i = 0; i < VOCAB; i++) p[i] /= total;
  keep_likeliest(p);
  for (i = 1; i < VOCAB; i++) p[i] += p[i - 1];
  double x = uniform(rng) * p[VOCAB - 1];
  for (i = 0; i < VOCAB - 1 && p[i] <= x;) i++;
  return i;
}

// The likeliest token.
static int likeliest(const real *logits, Random *rng) {
  int best = 0;
  (void)rng;
  for (int i = 1; i < VOCAB; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

// Dropout: every number is dropped with probability `rate`, the others are scaled up. Masks lie one after the
// other, each with the rows of all documents. With `heads`, they are those of attention weights, (heads, T, T).
static const real *masks_of(const Batch *batch, const char *name, int64_t step, double rate, int masks,
                            int64_t width, int64_t heads) {
  static real *memory[2];
  real *mask = memory[heads > 0];
  char key[112];
  Random rng;
  int64_t size = heads ? heads * batch->SQ : width * batch->N;
  snprintf(key, sizeof key, "%s %d", name, (int)step);
  seed_text(&rng, key);
  if (!mask) mask = memory[heads > 0] = room(masks * (heads ? heads * BLOCK : width) * BATCH * BLOCK + ROOM);
  EACH_DOCUMENT for (int i = 0; i < masks; i++) for (int64_t t = 0; t < T; t++)
    for (int64_t h = 0; h < (heads ? heads : 1); h++) for (int64_t c = 0; c < (heads ? T : width); c++)
      mask[i * size + (heads ? nn * heads + (h * T + t) * T : (n + t) * width) + c] =
        uniform(&rng) < 1 - rate ? 1 / (1 - rate) : 0;
  return mask;
}

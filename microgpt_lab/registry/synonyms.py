"""Names of keys and parts in nanoGPT, Hugging Face, PyTorch, Keras and Lightning."""

from __future__ import annotations

KEYS = {
    "activation": "act act_fn activation_fn activation_function hidden_act nonlinearity",
    "backend": "accelerator device",
    "batch_size": "batch bs micro_batch_size per_device_train_batch_size train_batch_size",
    "block_size": "block context context_length context_size ctx ctx_len max_length max_position_embeddings "
    "max_seq_len n_ctx n_positions seq_len seq_length sequence_length",
    "dataset": "corpus data train_data",
    "dropout": "attn_pdrop drop dropout_p embd_pdrop hidden_dropout_prob p_drop resid_pdrop",
    "embed": "d_model dim emb embed_dim embed_size embedding_dim hidden_size model_dim n_embd n_embed width",
    "eval_docs": "eval_iters val_docs",
    "eval_every": "eval_interval eval_steps val_check_interval val_every",
    "grad_clip": "clip clip_grad clip_grad_norm clipnorm gradient_clip gradient_clip_val max_grad_norm",
    "heads": "n_head n_heads nhead num_attention_heads num_heads",
    "init_std": "init init_range initializer_range",
    "layers": "blocks depth n_blocks n_layer n_layers num_hidden_layers num_layers",
    "norm": "normalization norm_type",
    "optimizer": "opt optim",
    "optimizer.beta1": "adam_beta1",
    "optimizer.beta2": "adam_beta2",
    "optimizer.eps": "adam_epsilon",
    "optimizer.lr": "learning_rate lr max_lr",
    "optimizer.weight_decay": "wd",
    "samples": "n_samples num_samples",
    "scheduler": "lr_schedule lr_scheduler lr_scheduler_type sched",
    "scheduler.warmup": "warmup_iters warmup_ratio warmup_steps",
    "seed": "manual_seed random_seed random_state",
    "steps": "epoch epochs iterations iters max_epochs max_iters max_steps n_epochs n_steps num_epochs "
    "num_iters num_steps num_train_epochs train_steps",
    "temperature": "temp",
    "tie_embeddings": "tie_weights tie_word_embeddings tied weight_tying",
    "train_docs": "max_docs n_docs num_docs",
}
PARTS = {
    "activation": {
        "gelu": "gelu_fast gelu_new gelu_tanh",
        "identity": "linear none",
        "leaky_relu": "lrelu",
        "relu2": "relu_squared squared_relu",
        "silu": "swish",
    },
    "backend": {"jax": "cuda gpu tpu xla", "numpy": "cpu", "python": "pure"},
    "dataset": {"us_names": "names"},
    "norm": {"layernorm": "layer layer_norm ln", "none": "identity off", "rmsnorm": "rms rms_norm"},
    "optimizer": {"sgd": "momentum nesterov"},
    "scheduler": {
        "constant": "fixed none off",
        "cosine": "cosine_annealing cosine_decay cosineannealinglr",
        "inverse_sqrt": "noam rsqrt",
        "wsd": "trapezoidal warmup_stable_decay",
    },
}


def by_synonym(table: dict[str, str]) -> dict[str, str]:
    """Map each synonym to the lab's name."""
    return {synonym: name for name, synonyms in table.items() for synonym in synonyms.split()}


KEY_OF = by_synonym(KEYS)
PART_OF = {kind: by_synonym(table) for kind, table in PARTS.items()}

"""Names of keys and parts in nanoGPT, Hugging Face, PyTorch, Keras and Lightning."""

from __future__ import annotations

KEYS = {
    "accumulate": "accum accumulate_grad_batches accumulation_steps grad_accum grad_accum_steps "
    "gradient_accumulation gradient_accumulation_steps",
    "activation": "act act_fn activation_fn activation_function hidden_act nonlinearity",
    "attention": "attention_type attn attn_type mixer self_attention",
    "attention.dropout": "attention_dropout attention_probs_dropout_prob attn_drop attn_dropout attn_pdrop",
    "attention.head_dim": "d_head d_k head_size head_width kv_channels",
    "attention.kv_heads": "kv_head multi_query n_head_kv n_kv_head n_kv_heads num_key_value_heads "
    "num_kv_heads num_query_groups",
    "attention.qk_norm": "qk_layernorm qk_ln qk_rmsnorm use_qk_norm",
    "attention.sinks": "attention_sink attention_sinks attn_sinks sink",
    "attention.value_residual": "resformer value_residuals",
    "attention.window": "attention_window local_window sliding_window window_size",
    "attention.window_pattern": "layer_types sliding_window_pattern",
    "backend": "accelerator device",
    "backend.precision": "dtype floatx torch_dtype",
    "batch_size": "batch bs micro_batch_size per_device_train_batch_size train_batch_size",
    "bias": "add_bias biases use_bias",
    "block": "block_type norm_first norm_position pre_norm residual_type",
    "block_size": "context context_length context_size ctx ctx_len max_length max_position_embeddings "
    "max_seq_len n_ctx n_positions seq_len seq_length sequence_length",
    "dataset": "corpus data train_data",
    "dataset.unit": "granularity stream streaming",
    "dropout": "drop dropout_p embd_pdrop hidden_dropout_prob p_drop resid_pdrop",
    "embed": "d_model dim emb embed_dim embed_size embedding_dim hidden_size model_dim n_embd n_embed width",
    "embed_norm": "embedding_norm emb_norm norm_embed",
    "embed_scale": "embedding_multiplier embedding_scale scale_embeddings",
    "eval_docs": "eval_iters val_docs",
    "eval_every": "eval_interval eval_steps val_check_interval val_every",
    "final_norm": "last_norm ln_f norm_f output_norm",
    "grad_clip": "clip clip_grad clip_grad_norm clipnorm gradient_clip gradient_clip_val max_grad_norm",
    "heads": "n_head n_heads nhead num_attention_heads num_heads",
    "init": "initialization initializer kernel_initializer weight_init weights_init",
    "init_from": "checkpoint fine_tune finetune from_pretrained pretrained",
    "init.std": "init_range init_std initializer_range",
    "init.zero": "zero_init zero_init_residual",
    "layers": "blocks depth n_blocks n_layer n_layers num_hidden_layers num_layers",
    "logit_softcap": "final_logit_softcapping final_softcap logit_cap logits_softcap softcap",
    "loss": "criterion loss_fn loss_function loss_type objective",
    "loss.amount": "label_smoothing label_smoothing_factor",
    "loss.weight": "z_loss z_loss_coef z_loss_weight",
    "mlp": "feed_forward feedforward ffn ffn_type mlp_type",
    "mlp.balance": "aux_loss_coef load_balancing_weight moe_aux_loss_coeff router_aux_loss_coef",
    "mlp.experts": "moe_num_experts n_expert n_experts num_experts num_local_experts",
    "mlp.ratio": "expansion expansion_factor ffn_mult mlp_expansion mlp_mult mlp_ratio",
    "mlp.top_k": "moe_top_k n_experts_per_tok num_experts_per_tok num_experts_per_token router_top_k",
    "norm": "normalization norm_type",
    "optimizer": "opt optim",
    "optimizer.beta1": "adam_beta1",
    "optimizer.beta2": "adam_beta2",
    "optimizer.eps": "adam_epsilon",
    "optimizer.lr": "learning_rate lr max_lr",
    "optimizer.weight_decay": "wd",
    "position": "pos_emb pos_embedding pos_encoding position_embedding position_embedding_type "
    "position_embeddings positional_embedding positional_encoding positions",
    "position.base": "rope_base rope_theta rotary_base rotary_emb_base",
    "position.partial": "partial_rotary_factor rotary_dim rotary_ndims rotary_pct",
    "samples": "n_samples num_samples",
    "sampler": "decoding decoding_strategy generation sampling",
    "sampler.min_p": "minp",
    "sampler.temperature": "temp temperature",
    "sampler.top_k": "topk",
    "sampler.top_p": "nucleus topp",
    "scheduler": "lr_schedule lr_scheduler lr_scheduler_type sched",
    "scheduler.warmup": "warmup_iters warmup_ratio warmup_steps",
    "seed": "manual_seed random_seed random_state",
    "steps": "epoch epochs iterations iters max_epochs max_iters max_steps n_epochs n_steps num_epochs "
    "num_iters num_steps num_train_epochs train_steps",
    "tie_embeddings": "tie_weights tie_word_embeddings tied weight_tying",
    "tokenizer": "encoding tokeniser tokenization vocab vocabulary",
    "tokenizer.vocab_size": "n_vocab vocabulary_size",
    "train_docs": "max_docs n_docs num_docs",
    "weighting": "attention_activation attention_weights score_function",
}
PARTS = {
    "activation": {
        "gelu": "gelu_fast gelu_new gelu_tanh",
        "identity": "linear none",
        "leaky_relu": "lrelu",
        "relu2": "relu_squared squared_relu",
        "silu": "swish",
    },
    "attention": {
        "differential": "diff diff_attention diff_transformer difftransformer",
        "linear": "linear_attention performer",
        "multihead": "causal flash full gqa mha mqa multi_head sdpa self_attention standard",
    },
    "backend": {"jax": "cuda gpu tpu xla", "numpy": "cpu", "python": "pure"},
    "block": {
        "parallel": "falcon gpt_j gpt_neox gptj gptneox palm parallel_residual",
        "post_norm": "post post_ln postln postnorm",
        "pre_norm": "gpt2 pre pre_ln preln prenorm",
        "rezero": "re_zero skipinit",
        "sandwich_norm": "gemma2 peri peri_ln periln sandwich sandwich_ln",
    },
    "dataset": {"us_names": "names"},
    "init": {
        "gpt2": "megatron scaled",
        "normal": "gaussian randn trunc_normal",
        "orthogonal": "ortho",
        "xavier": "glorot glorot_normal glorot_uniform xavier_normal xavier_uniform",
    },
    "loss": {
        "cross_entropy": "ce crossentropy nll nll_loss xent",
        "label_smoothing": "label_smooth ls smooth smoothing",
        "z_loss": "z zloss",
    },
    "mlp": {
        "glu": "gated geglu llama reglu swiglu",
        "mlp": "dense feed_forward ffn vanilla",
        "moe": "experts mixture_of_experts mixtral sparse switch",
        "none": "attention_only identity off",
    },
    "norm": {"layernorm": "layer layer_norm ln", "none": "identity off", "rmsnorm": "rms rms_norm"},
    "optimizer": {"sgd": "momentum nesterov"},
    "position": {
        "learned": "absolute embedding gpt2 learnable wpe",
        "none": "nope off",
        "rope": "rotary rotary_embedding",
        "sinusoidal": "fixed sin sincos sine sinusoid",
    },
    "sampler": {
        "greedy": "argmax likeliest",
        "multinomial": "categorical nucleus random sample top_k top_p",
    },
    "scheduler": {
        "constant": "fixed none off",
        "cosine": "cosine_annealing cosine_decay cosineannealinglr",
        "inverse_sqrt": "noam rsqrt",
        "wsd": "trapezoidal warmup_stable_decay",
    },
    "tokenizer": {
        "bpe": "byte_pair gpt2 subword tiktoken",
        "byte": "bytes utf8 utf_8",
        "char": "character characters chars letter letters",
    },
    "weighting": {"relu2": "relu_squared squared_relu", "sigmoid": "sigmoid_attention", "softmax": "exp"},
}

# What is a part in other programs, and an option here.
OPTION_OF = {
    ("attention", "gqa"): "write attention.kv_heads=N (GQA; 1: MQA)",
    ("attention", "mqa"): "write attention.kv_heads=1 (MQA)",
}


def by_synonym(table: dict[str, str]) -> dict[str, str]:
    """Map each synonym to the lab's name."""
    return {synonym: name for name, synonyms in table.items() for synonym in synonyms.split()}


KEY_OF = by_synonym(KEYS)
PART_OF = {kind: by_synonym(table) for kind, table in PARTS.items()}

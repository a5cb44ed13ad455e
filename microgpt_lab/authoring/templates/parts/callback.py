from microgpt_lab import above, hookimpl


class MyPart:
    """Stop the run as soon as the validation loss is at most `target`.

    target: validation loss, in nats per token.
    """

    name = "my_part"  # on the command line

    # Parameters after * are options, each with a type and a default:
    # callback.my_part.target here.
    def __init__(self, *, target: float = 2.0):
        above(0, target=target)  # other values are refused in one line
        self.target, self.reached = target, False

    # Called by name, each with the arguments that it names: run_started(run, trainer),
    # step_finished(step, metrics), evaluated(step, loss, documents),
    # should_stop(step, metrics), checkpoint_saved(step, path),
    # run_finished(run, summary). Files belong into run.folder.
    def evaluated(self, loss):
        self.reached = loss <= self.target

    def should_stop(self):
        return self.reached

    # What a resumed run needs, in types of JSON: loaded after run_started, before the next step.
    # Remove both if it needs nothing.
    def state_dict(self):
        return {"reached": self.reached}

    def load_state_dict(self, state):
        self.reached = bool(state["reached"])


@hookimpl
def callbacks():
    return [MyPart]

"""The decorators of hooks, of the lab's specifications and of plugins' implementations."""

import pluggy

hookspec = pluggy.HookspecMarker("microgpt_lab")
hookimpl = pluggy.HookimplMarker("microgpt_lab")

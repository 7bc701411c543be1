"""Classes named by their path: the doors through which a user's own code comes in."""

import difflib
import importlib
from typing import Any

from components.errors import ProjectFileError
from components.settings.base import PluginSettings


def load_class(class_path: str) -> type:
    """The class at `package.module.Class`.

    Raises:
        ProjectFileError: If the module cannot be imported or holds no such class.
    """
    module_name, _, class_name = class_path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as err:  # a user's module may fail in any way while it is imported
        raise ProjectFileError(
            f"wanted the class {class_path}, but importing {module_name} failed: {type(err).__name__}: {err}; "
            "put the module beside the project file, install the package that holds it, or mend it"
        ) from err
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        names = sorted(name for name, item in vars(module).items() if isinstance(item, type))
        near = difflib.get_close_matches(class_name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "correct class_path"
        raise ProjectFileError(f"wanted a class {class_name} in {module_name}, found {names}; {hint}")
    return found


def make(plugin: PluginSettings, *first: Any) -> Any:
    """An object of the plug-in's class, made with `first` and its `init_args`.

    Raises:
        ProjectFileError: If the class refuses its arguments.
    """
    try:
        return load_class(plugin.class_path)(*first, **plugin.init_args)
    except TypeError as err:
        raise ProjectFileError(
            f"{plugin.class_path} refused init_args {sorted(plugin.init_args)}: {err}; correct init_args"
        ) from err

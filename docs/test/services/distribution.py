"""What stands for the /opt/spark of pages."""

from pathlib import Path

from environments import spark_home


def distribution(page) -> Path:
    """PyPI's Spark, with a conf folder of the page's; made unless it is there."""
    folder = page.folder / "services" / "spark"
    if not folder.exists():
        (folder / "conf").mkdir(parents=True)
        for part in spark_home().iterdir():
            if part.name != "conf":
                (folder / part.name).symlink_to(part)
    return folder


def add_settings(page, settings: dict[str, str]) -> None:
    """Settings of all that the page submits, beside those it names itself."""
    with (distribution(page) / "conf" / "spark-defaults.conf").open("a") as defaults:
        defaults.writelines(f"{name} {value}\n" for name, value in settings.items())

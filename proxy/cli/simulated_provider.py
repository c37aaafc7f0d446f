"""Runs the built-in simulated provider alone, for tests and staging. It must never start a proxy or a ledger."""

from typing import Annotated

import typer

from proxy.cli.output import message


def simulated_provider(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 9100,
    pace: Annotated[bool, typer.Option("--pace/--no-pace", help="Write as fast as real models do, not at once.")] = False,
    fault: Annotated[
        str, typer.Option(help="A fault for every call, such as 429=2 or cut; calls order their own by x-simulate-fault.")
    ] = "",
) -> None:
    """Run the built-in simulated provider alone; nothing it says comes from a model."""
    import socket  # this command alone needs a server

    import uvicorn

    from proxy.clock import Clock
    from proxy.simulate.app import create_simulated_provider
    from proxy.simulate.exchange import Refused
    from proxy.simulate.faults import Faults, read_mood

    try:
        read_mood(fault)
    except Refused as refused:
        raise typer.BadParameter(refused.message, param_hint="--fault") from refused
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen()  # who reads the address below may connect at once
        except OSError as error:
            message(f"cannot listen on {host}:{port}: {error.strerror}. Choose another --port, or 0 for a free one.")
            raise typer.Exit(1) from error
        shown = f"[{host}]" if ":" in host else host
        message(f"simulated provider on http://{shown}:{listening.getsockname()[1]}/v1 (every answer is simulated; Ctrl-C ends it)")
        app = create_simulated_provider(clock=Clock(), faults=Faults(always=fault), pace=pace)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", ws="websockets-sansio", timeout_graceful_shutdown=5
        )
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:  # uvicorn raises the signal again once it has drained
            message("simulated provider ended")

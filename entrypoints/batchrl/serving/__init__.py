"""A trained policy as an HTTP server: ``/ping``, ``/execution-parameters``, ``/invocations`` (contract B1, C).

``records`` and ``answers`` know the formats, ``predictor`` the policy, ``invocation`` what a request gets; they are
functions of their arguments. Around them stand ``app`` (HTTP), ``worker`` and ``supervisor`` (processes), and for AWS's
PyTorch image ``toolkit``.
"""

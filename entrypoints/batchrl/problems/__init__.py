"""Problems of our own; importing this package registers them with Gymnasium.

``batchrl/MailCampaign-v0``: a stochastic mail campaign with a known best value (``batchrl.problems.mail_model``).
"""

import gymnasium as gym

MAIL_CAMPAIGN = "batchrl/MailCampaign-v0"

if MAIL_CAMPAIGN not in gym.registry:
    gym.register(
        MAIL_CAMPAIGN,
        entry_point="batchrl.problems.mail:MailCampaign",
        vector_entry_point="batchrl.problems.mail:MailCampaignVector",
    )

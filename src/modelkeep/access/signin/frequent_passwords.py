"""Passwords that are guessed first: of twelve characters and more, and the words that shorter ones are made of."""

# Whole passwords, in lower case, without what is not a letter or digit.
_WHOLE = """
    123456789012 1234567890123 12345678901234 123456789123 123123123123 111222333444 012345678910 098765432109
    0987654321098 987654321098 123456654321 121212121212 1q2w3e4r5t6y 1q2w3e4r5t6y7u 1qaz2wsx3edc 1qaz2wsx3edc4rfv
    zaq12wsxcde3 q1w2e3r4t5y6 qwer1234qwer qwerty123456 qwerty1234567 123456qwerty qwertyuiop12 qwertyuiop123
    qwertyuiop1234 qwertyqwerty qwertyuiopasdf asdfghjkl123 asdfghjkl1234 zxcvbnm12345 qazwsxedcrfv qwe123qwe123
    asd123asd123 abcd1234abcd abcdefghijkl abcdefgh1234 a1b2c3d4e5f6 aa123456aa12 iloveyou1234 iloveyouforever
    letmein12345 letmeinplease letmeinletmein trustno1trustno1 correcthorsebatterystaple thisismypassword
    mypassword123 mypassword1234 newpassword123 changemechangeme changeme1234 changemenow123 pleasechangeme
    admin1234567 administrator administrator1 administrator123 adminadmin12 adminadminadmin adminpassword rootrootroot
    welcome12345 welcome123456 welcometomlflow mlflowmlflow mlflow123456 mlflowpassword mlflowadmin1 modelkeep1234
    modelkeepmodelkeep modelregistry modelregistry1 superman1234 football1234 baseball1234 princess1234 sunshine1234
    dragondragon monkeymonkey masterpassword secretsecret supersecret123 verysecretpassword summer2024summer
    winter2024winter spring2025spring
"""
# A password that is nothing but one of these with digits and signs around it.
_WORDS = """
    password passwort passwordpassword passw0rd p4ssword p4ssw0rd motdepasse contrasena senha parola welcome changeme
    letmein admin administrator qwerty qwertz azerty qwertyuiop qwertzuiop azertyuiop asdfghjkl iloveyou secret
    supersecret default company mlflow modelkeep monkey dragon football baseball superman batman princess sunshine
    summer winter spring autumn master shadow michael jennifer
"""

WHOLE, WORDS = frozenset(_WHOLE.split()), frozenset(_WORDS.split())
